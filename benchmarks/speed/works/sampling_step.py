"""One step of sampling in pixels: the U-Net of 35.7 million parameters, 16 pictures of 32×32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.compiled import compiled
from benchmarks.speed.defaults import computed_in, with_defaults
from benchmarks.speed.goal import Goal
from benchmarks.speed.peers import gflop, halved, ours_of, stirred
from diffusers import UNet2DModel
from torch import Tensor

from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks, WalkNetwork
from diffloom.inference.compute import Precision

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


TITLE = "pixel U-Net 35.7 M, sampling step, batch 16"
ROW = "pixel U-Net, sampling step"

T = 500.0


def cases(device: torch.device) -> Iterator[Case]:
    """The network alone, at one time, without gradients; on a GPU beside the peer compiled too."""
    peer = stirred(UNet2DModel(**CIFAR)).to(device)
    own, half = ours_of(peer, device), halved(peer)
    x_BCHW = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(device)
    t_B = torch.full((16,), T, device=device)

    @torch.no_grad()
    def theirs(network: Any) -> Tensor:
        output: Tensor = network(x_BCHW.to(network.dtype), t_B).sample
        return output.clone()  # what a CUDA graph returns is overwritten by the next call

    def ours(name: str, precision: Precision, goal: Goal, *, compiles: bool = False) -> Arm:
        ready = ReadyNetworks().of(own, precision=precision, compiles=compiles)
        walk = WalkNetwork(ready, times=[T], pixels=32 * 32)
        prepared = walk.prepare(Condition())
        walk.t = T

        @torch.no_grad()
        def call() -> Tensor:
            return walk(x_BCHW, t_B, prepared)

        return Arm(name, call, [goal], computed_in(precision, own))

    exact = ours("diffloom fp32", "fp32", Goal(f"{ROW}, fp32", "speed", 1.12, 1.25))
    comes = ours("diffloom as it comes", "auto", Goal(f"{ROW}, as it comes", "speed", 2.0, by_bf16=True))
    eager = Arm("diffusers fp32", partial(theirs, peer))
    yield from with_defaults(Case(TITLE, eager, [exact], counts=True, rounds=5), comes, device)

    halves = Arm("diffusers bf16, channels_last", partial(theirs, half), precision="bf16")
    asked = 1.5 if device.type == "cuda" else 1.05
    ready = ours("diffloom bf16", "bf16", Goal(f"{ROW}, bf16", "speed", asked))
    yield Case(TITLE, halves, [ready], counts=True, rounds=5)
    if device.type == "cuda":
        whole = Arm("diffusers bf16, compiled", partial(theirs, compiled(half, device)), precision="bf16")
        goal = Goal(f"{ROW}, bf16, beside compiled", "speed", 1.1)
        blocks = ours("diffloom bf16, compiled", "bf16", goal, compiles=True)
        yield Case(TITLE, whole, [replace(ready, goals=[goal]), blocks], gflop(halves.call))
