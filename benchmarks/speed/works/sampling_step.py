"""One step of sampling in pixels: the U-Net of 35.7 million parameters, 16 pictures of 32×32."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.peers import gflop, ours_of, stirred
from diffusers import UNet2DModel
from torch import Tensor

from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks

CIFAR = {
    "sample_size": 32,
    "block_out_channels": (128, 256, 256, 256),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
}
"""diffusers' form of Ho et al.'s network for CIFAR-10."""


def cases(device: torch.device) -> Iterator[Case]:
    """The network alone, at one time, without gradients."""
    peer = stirred(UNet2DModel(**CIFAR)).to(device)
    own = ours_of(peer, device)
    half = UNet2DModel(**CIFAR).to(device, torch.bfloat16, memory_format=torch.channels_last).eval()
    half.load_state_dict(peer.state_dict())
    x_BCHW = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(device)
    t_B = torch.full((16,), 500.0, device=device)

    ready = {precision: ReadyNetworks() for precision in ("fp32", "bf16", "auto")}

    @torch.no_grad()
    def theirs(network: UNet2DModel) -> Tensor:
        return network(x_BCHW.to(network.dtype), t_B).sample

    @torch.no_grad()
    def mine(precision: str) -> Tensor:
        return ready[precision].of(own, precision=precision)(x_BCHW, t_B, Condition())

    def arm(precision: str, name: str) -> Arm:
        return Arm(name, partial(mine, precision))

    title, work = "pixel U-Net 35.7 M, sampling step, batch 16", gflop(partial(theirs, peer))
    eager = Arm("diffusers fp32", partial(theirs, peer))
    yield Case(title, eager, [arm("fp32", "diffloom fp32")], work, rounds=5, target="≥ 1.12")
    halves = Arm("diffusers bf16, channels_last", partial(theirs, half))
    yield Case(title, halves, [arm("bf16", "diffloom bf16")], work, rounds=5, target="≥ 1.05")
    yield Case(title, eager, [arm("auto", "diffloom as it comes")], work, rounds=3, target="≥ 2.0")
