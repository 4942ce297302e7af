"""One guided step of sampling in latents: a text-conditional U-Net of 17.8 million parameters, batch 2, 32×32×4."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.defaults import computed_in, with_defaults
from benchmarks.speed.goal import Goal
from benchmarks.speed.peers import halved, ours_of, stirred
from diffusers import UNet2DConditionModel
from torch import Tensor

import diffloom.nn
from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks, WalkNetwork
from diffloom.inference.compute import Precision
from diffloom_attention import Auto

SMALL = {
    "sample_size": 32,
    "block_out_channels": (64, 128, 256),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 2,
    "cross_attention_dim": 128,
    "attention_head_dim": 8,
}
"""Stable Diffusion 1's network with fewer channels and levels: 8 heads, of width 8 where there are 1024 tokens."""
TOKENS = 77
TIMES = [20.0 * step + 1 for step in range(50)]


TITLE = "text-conditional U-Net 17.8 M, guided step, batch 2"
ROW = "text-conditional U-Net, guided step"


def cases(device: torch.device) -> Iterator[Case]:
    """The network alone, at one time, without gradients; ours with what a walk computes beforehand."""
    peer = stirred(UNet2DConditionModel(**SMALL)).to(device)
    own, half = ours_of(peer, device, "backbone"), halved(peer)
    diffloom.nn.attend_with(own, Auto().build())
    generator = torch.Generator().manual_seed(1)
    x_BCHW = torch.randn(2, 4, 32, 32, generator=generator).to(device)
    tokens_BLD = torch.randn(2, TOKENS, 128, generator=generator).to(device)
    t_B = torch.full((2,), TIMES[25], device=device)

    @torch.inference_mode()
    def theirs(network: Any) -> Tensor:
        output: Tensor = network(x_BCHW.to(network.dtype), t_B, tokens_BLD.to(network.dtype)).sample
        return output

    def ours(name: str, precision: Precision, *goals: Goal) -> Arm:
        walk = WalkNetwork(ReadyNetworks().of(own, precision=precision), times=TIMES, pixels=32 * 32)
        prepared = walk.prepare(Condition(tokens_BLD=tokens_BLD))
        walk.t = TIMES[25]

        @torch.inference_mode()
        def call() -> Tensor:
            return walk(x_BCHW, t_B, prepared)

        return Arm(name, call, goals, computed_in(precision, own))

    exact = ours("diffloom fp32", "fp32", Goal(f"{ROW}, fp32", "speed", 1.11, 1.6))
    comes = ours(
        "diffloom as it comes", "auto", Goal(f"{ROW}, as it comes", "speed", 1.36, 2.3, by_bf16=True)
    )
    eager = Arm("diffusers fp32", partial(theirs, peer))
    yield from with_defaults(Case(TITLE, eager, [exact], counts=True, rounds=11), comes, device)
    halves = Arm("diffusers bf16, channels_last", partial(theirs, half), precision="bf16")
    yield Case(TITLE, halves, [ours("diffloom bf16", "bf16")], counts=True, rounds=5)
