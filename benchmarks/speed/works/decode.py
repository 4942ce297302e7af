"""Latents to pictures: Stable Diffusion's decoder, of 49 million parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.peers import gflop, ours_of, stirred
from diffusers import AutoencoderKL
from torch import Tensor

from diffloom.inference import ReadyNetworks
from diffloom.inference.compute import Precision

KL_F8: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "sample_size": 256,
}
"""diffusers' form of KL-f8."""


def cases(device: torch.device) -> Iterator[Case]:
    """One picture of 256 pixels a side, then one of 512, without gradients."""
    peer = cast(AutoencoderKL, stirred(AutoencoderKL(**KL_F8)).to(device))
    own = ours_of(peer, device).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    small, large = (torch.randn(1, 4, side, side, generator=generator).to(device) for side in (32, 64))

    yield _case("32×32 latents", partial(_theirs, peer, small), _mine(own, "fp32", small), target="≥ 1.12")
    half = AutoencoderKL(**KL_F8).to(device, torch.bfloat16, memory_format=torch.channels_last).eval()
    half.load_state_dict(peer.state_dict())
    yield Case(
        "KL-f8 decode, 32×32 latents",
        Arm("diffusers bf16, channels_last", partial(_theirs, half, small)),
        [Arm("diffloom bf16", _mine(own, "bf16", small))],
        gflop(partial(_theirs, peer, small)),
        rounds=1,
    )
    target = "memory ≤ 0.35 of the peer's at ≤ 1.05 of its time"
    yield _case(
        "64×64 latents", partial(_theirs, peer, large), _mine(own, "fp32", large), target=target, rounds=1
    )
    yield from _in_tiles(peer, own, small)


def _case(
    size: str, theirs: Callable[[], Tensor], mine: Callable[[], Tensor], *, target: str, rounds: int = 2
) -> Case:
    arms = Arm("diffusers fp32", theirs), [Arm("diffloom fp32", mine)]
    return Case(f"KL-f8 decode, {size}", *arms, gflop(theirs), rounds=rounds, target=target)


def _in_tiles(peer: AutoencoderKL, own: Any, x_BCHW: Tensor) -> Iterator[Case]:
    """Theirs blends windows of 16 latents that were normalised each by itself; ours are the picture's own."""
    peer.enable_tiling()
    peer.tile_latent_min_size, peer.tile_sample_min_size = 16, 128
    tiled = type(own)(
        encoder=own.encoder,
        decoder=own.decoder,
        channels=(own.image_channels, own.latent_channels),
        factor=own.factor,
        handling=type(own.handling)(tile=16),
    )
    yield Case(
        "KL-f8 decode, 32×32 latents",
        Arm("diffusers fp32, tiles of 16 blended", partial(_theirs, peer, x_BCHW)),
        [Arm("diffloom fp32, tiles of 16 exact", _mine(tiled, "fp32", x_BCHW))],
        rounds=1,
    )
    peer.disable_tiling()


@torch.inference_mode()
def _theirs(network: AutoencoderKL, x_BCHW: Tensor) -> Tensor:
    return cast(Tensor, network.decode(x_BCHW.to(network.dtype)).sample)


def _mine(codec: Any, precision: Precision, x_BCHW: Tensor) -> Callable[[], Tensor]:
    kept = ReadyNetworks()

    @torch.inference_mode()
    def call() -> Tensor:
        ready = kept.of(codec, precision=precision)
        return cast(Tensor, cast(Any, ready.module).decoded(x_BCHW.to(ready.compute.dtype)))

    return call
