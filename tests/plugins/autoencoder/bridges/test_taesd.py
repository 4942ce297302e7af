"""The tiny autoencoders' own files. Oracle: their published layout, written out; diffusers' `AutoencoderTiny`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.bridge import Foreign, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo
from diffloom_autoencoder import TinyAutoencoder
from diffloom_autoencoder.bridges.tiny import Taesd

IMAGE = ImageInfo(256, 256, 3)
BLOCK = ["conv.0", "conv.2", "conv.4"]


class Block(nn.Module):
    """As their file lists it: `conv`, and before it `pool` in the middle."""

    def __init__(self, channels: int, *, pooled: bool) -> None:
        super().__init__()
        c = channels
        kinds = [nn.Conv2d(c, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*kinds, nn.Conv2d(c, c, 3, padding=1))
        self.pool = None
        if pooled:
            wide = [nn.Conv2d(c, 4 * c, 1, bias=False), nn.GroupNorm(4, 4 * c), nn.ReLU()]
            self.pool = nn.Sequential(*wide, nn.Conv2d(4 * c, c, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.pool is None else x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


def published(channels: int, latents: int, *, pooled: bool) -> nn.ModuleDict:
    """Both sides as one row of layers each, numbered as their files are."""
    c = channels

    def blocks(count: int, *, middle: bool = False) -> list[nn.Module]:
        return [Block(c, pooled=middle and pooled) for _ in range(count)]

    def halve() -> nn.Module:
        return nn.Conv2d(c, c, 3, stride=2, padding=1, bias=False)

    def double() -> list[nn.Module]:
        return [nn.Upsample(scale_factor=2), nn.Conv2d(c, c, 3, padding=1, bias=False)]

    encoder = [nn.Conv2d(3, c, 3, padding=1), *blocks(1), halve(), *blocks(3), halve(), *blocks(3), halve()]
    encoder += [*blocks(3, middle=True), nn.Conv2d(c, latents, 3, padding=1)]
    decoder = [Clamp(), nn.Conv2d(latents, c, 3, padding=1), nn.ReLU(), *blocks(3, middle=True), *double()]
    decoder += [*blocks(3), *double(), *blocks(3), *double(), *blocks(1), nn.Conv2d(c, 3, 3, padding=1)]
    return nn.ModuleDict({"encoder": nn.Sequential(*encoder), "decoder": nn.Sequential(*decoder)})


@pytest.mark.parametrize(("latents", "pooled"), [(4, False), (16, False), (32, True)])
def test_the_published_layout(
    latents: int, pooled: bool, scattered: Callable[..., Any], bridge_of: Any
) -> None:
    """Read from names and shapes alone; the same latents and pictures, theirs in [0, 1]."""
    torch.manual_seed(0)
    theirs = scattered(published(8, latents, pooled=pooled)).double()
    foreign = Foreign(MemoryTensors(theirs.state_dict()))
    bridge, inferred = bridge_of(TinyAutoencoder, foreign)
    assert inferred.part == TinyAutoencoder(channels=8, latent_channels=latents, pooled_middle=pooled)
    ours = inferred.build().eval()
    fill(ours, foreign.tensors, bridge)
    images = torch.rand(2, 3, 32, 24, dtype=torch.float64)
    with torch.no_grad():
        latent_BCHW = theirs["encoder"](images)
        x_BCHW = ours.encode(2 * images - 1)
        assert (x_BCHW - latent_BCHW).abs().max() < 1e-12 * latent_BCHW.abs().max()
        pictures = 2 * theirs["decoder"](3 * latent_BCHW) - 1
        assert (ours.decode(3 * latent_BCHW) - pictures).abs().max() < 1e-12 * pictures.abs().max()
    back = theirs_of(ours, bridge)
    assert back.keys() == theirs.state_dict().keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in theirs.state_dict().items())


def test_one_side_alone_is_told() -> None:
    sides = published(8, 4, pooled=False)
    for side in ("encoder", "decoder"):
        foreign = Foreign(MemoryTensors(sides[side].state_dict(), place=f"taesd_{side}.safetensors"))
        with pytest.raises(
            CheckpointError, match=f"taesd_{side}.safetensors: is one side of a tiny autoencoder"
        ):
            Taesd().infer(foreign)


def test_a_missing_end_is_told() -> None:
    tensors = published(8, 4, pooled=False).state_dict()
    del tensors["encoder.14.weight"], tensors["encoder.14.bias"]
    with pytest.raises(CheckpointError, match="without encoder"):
        Taesd().infer(Foreign(MemoryTensors(tensors)))


def test_diffusers_and_their_author_agree(make_twins: Callable[..., Any]) -> None:
    """The same network under both names, the decoder's clamp counted by one and not by the other."""
    twins = make_twins("tiny")
    for name, tensor in theirs_of(twins.ours, Taesd()).items():
        side, number, rest = name.split(".", 2)
        there = f"{side}.layers.{int(number) - (side == 'decoder')}.{rest}"
        assert torch.equal(twins.theirs.state_dict()[there], tensor)
