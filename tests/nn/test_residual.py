"""Oracle: diffusers' `ResnetBlock2D`, and the identity that a fresh block is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor
from torch.nn import functional

from diffloom.nn import ResidualBlock, ScaleShiftResidualBlock, Signal, doubled, halved

NAMES = {
    "norm1": "norm1",
    "conv1": "conv1",
    "emb": "time_emb_proj",
    "norm2": "norm2",
    "conv2": "conv2",
    "shortcut": "conv_shortcut",
}


@pytest.mark.parametrize(("in_channels", "out_channels"), [(16, 16), (16, 24), (24, 8)])
def test_equals_diffusers(in_channels: int, out_channels: int) -> None:
    torch.manual_seed(0)
    theirs = ResnetBlock2D(
        in_channels=in_channels, out_channels=out_channels, temb_channels=20, groups=4, eps=1e-5
    ).double()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = ResidualBlock(
        in_channels=in_channels, out_channels=out_channels, emb_width=20, norm_groups=4, norm_eps=1e-5
    ).double()
    for name, their_name in NAMES.items():
        if name != "shortcut" or in_channels != out_channels:
            ours.get_submodule(name).load_state_dict(theirs.get_submodule(their_name).state_dict())
    x = torch.randn(3, in_channels, 5, 6, dtype=torch.float64)
    emb = torch.randn(3, 20, dtype=torch.float64)
    out = ours(x, Signal(emb_BE=functional.silu(emb)))  # theirs activates the embedding itself
    torch.testing.assert_close(out, theirs(x, emb), rtol=0, atol=1e-12)


@pytest.mark.parametrize("out_channels", [16, 24])
def test_fresh_block_is_its_shortcut(out_channels: int) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(in_channels=16, out_channels=out_channels, emb_width=8, norm_groups=4)
    x = torch.randn(2, 16, 4, 4)
    assert torch.equal(block(x, Signal(emb_BE=torch.randn(2, 8))), block.shortcut(x))
    assert torch.equal(block.shortcut(x), x) == (out_channels == 16)


def test_dropout_keeps_the_mean_and_only_trains() -> None:
    """Inverted dropout: kept activations grow by 1/(1−p), so the branch's mean over masks is its value without."""
    torch.manual_seed(0)
    block = ResidualBlock(in_channels=8, out_channels=8, emb_width=4, norm_groups=2, dropout=0.4)
    torch.nn.init.normal_(block.conv2.weight, std=0.1)
    x, signal = torch.randn(1, 8, 4, 4), Signal(emb_BE=torch.randn(1, 4))
    still = block.eval()(x, signal)
    assert torch.equal(still, block(x, signal))
    block.train()
    many = torch.stack([block(x, signal) for _ in range(4000)])
    assert many.std(0).min() > 0.01
    # the mean of 4000 draws lies within 5 standard errors of the truth in each of 128 places
    assert ((many.mean(0) - still).abs() < 5 * many.std(0) / 4000**0.5).all()


def test_scale_and_shift_equal_diffusers() -> None:
    torch.manual_seed(0)
    theirs = ResnetBlock2D(
        in_channels=16,
        out_channels=24,
        temb_channels=20,
        groups=4,
        eps=1e-5,
        time_embedding_norm="scale_shift",
    ).double()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = ScaleShiftResidualBlock(
        in_channels=16, out_channels=24, emb_width=20, norm_groups=4, norm_eps=1e-5
    ).double()
    for name, their_name in NAMES.items():
        ours.get_submodule(name).load_state_dict(theirs.get_submodule(their_name).state_dict())
    x = torch.randn(3, 16, 5, 6, dtype=torch.float64)
    emb = torch.randn(3, 20, dtype=torch.float64)
    out = ours(x, Signal(emb_BE=functional.silu(emb)))
    torch.testing.assert_close(out, theirs(x, emb), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("block", "theirs_norm"), [(ResidualBlock, "default"), (ScaleShiftResidualBlock, "scale_shift")]
)
@pytest.mark.parametrize(("resize", "way"), [(halved, "down"), (doubled, "up")])
def test_resizing_equals_diffusers(
    block: type[ResidualBlock], theirs_norm: str, resize: Callable[[Tensor], Tensor], way: str
) -> None:
    """Dhariwal & Nichol 2021: pixels are averaged or repeated, on the branch and beside it, and no convolution more."""
    torch.manual_seed(0)
    theirs = ResnetBlock2D(
        in_channels=16, temb_channels=20, groups=4, eps=1e-5, time_embedding_norm=theirs_norm, **{way: True}
    ).double()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = block(
        in_channels=16, out_channels=16, emb_width=20, norm_groups=4, norm_eps=1e-5, resize=resize
    ).double()
    for name, their_name in NAMES.items():
        if name != "shortcut":
            ours.get_submodule(name).load_state_dict(theirs.get_submodule(their_name).state_dict())
    x = torch.randn(3, 16, 4, 6, dtype=torch.float64)
    emb = torch.randn(3, 20, dtype=torch.float64)
    out = ours(x, Signal(emb_BE=functional.silu(emb)))
    assert out.shape[2:] == ((2, 3) if way == "down" else (8, 12))
    torch.testing.assert_close(out, theirs(x, emb), rtol=0, atol=1e-12)
