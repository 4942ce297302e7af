"""Latents to pictures: Stable Diffusion's decoder, of 49 million parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.defaults import computed_in, with_defaults
from benchmarks.speed.goal import Goal
from benchmarks.speed.peers import halved, ours_of, stirred
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
ROW = "KL decode"
SMALL, LARGE = 32, 64
"""Latents on a side, of pictures of 256 and 512 pixels."""


def cases(device: torch.device) -> Iterator[Case]:
    """One picture of 256 pixels a side, then one of 512, without gradients."""
    peer, own = pair(device)
    small, large = latents(SMALL, device), latents(LARGE, device)

    def ours(name: str, precision: Precision, x_BCHW: Tensor, *goals: Goal) -> Arm:
        return Arm(name, mine(own, precision, x_BCHW), goals, computed_in(precision, own))

    title = f"KL-f8 decode, {SMALL}×{SMALL} latents"
    exact = ours("diffloom fp32", "fp32", small, Goal(f"{ROW}, fp32", "speed", 1.12))
    default = Goal(f"{ROW}, as it comes", "speed", 2.4, by_bf16=True)
    comes = ours("diffloom as it comes", "auto", small, default)
    eager = Arm("diffusers fp32", partial(theirs, peer, small))
    yield from with_defaults(Case(title, eager, [exact], counts=True, rounds=5), comes, device)
    halves = Arm("diffusers bf16, channels_last", partial(theirs, halved(peer), small), precision="bf16")
    bf16 = ours("diffloom bf16", "bf16", small)
    yield Case(title, halves, [bf16], counts=True, rounds=2, fewest=2)  # nothing is asked of it
    row = f"{ROW}, {LARGE}×{LARGE} latents, as a stretch"
    strips = ours("diffloom fp32", "fp32", large, Goal(row, "memory", 0.35), Goal(row, "time", 1.05))
    yield Case(
        f"KL-f8 decode, {LARGE}×{LARGE} latents",
        Arm("diffusers fp32", partial(theirs, peer, large)),
        [strips],
        counts=True,
        rounds=3,
        fewest=3,
    )


def pair(device: torch.device) -> tuple[AutoencoderKL, Any]:
    """The peer's autoencoder and ours with its weights."""
    peer = stirred(AutoencoderKL(**KL_F8)).to(device)
    return peer, ours_of(peer, device).eval().requires_grad_(False)


def latents(side: int, device: torch.device) -> Tensor:
    """Of one picture (1, 4, side, side)."""
    return torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(1)).to(device)


@torch.inference_mode()
def theirs(network: AutoencoderKL, x_BCHW: Tensor) -> Tensor:
    """What the peer decodes."""
    return cast(Tensor, network.decode(x_BCHW.to(network.dtype)).sample)


def mine(codec: Any, precision: Precision, x_BCHW: Tensor) -> Callable[[], Tensor]:
    """A call that decodes by our network, made ready in the first."""
    kept = ReadyNetworks()

    @torch.inference_mode()
    def call() -> Tensor:
        ready = kept.of(codec, precision=precision)
        return cast(Tensor, cast(Any, ready.module).decoded(x_BCHW.to(ready.compute.dtype)))

    return call
