"""One guided step of sampling in latents: a text-conditional U-Net of 17.8 million parameters, batch 2, 32×32×4."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.peers import gflop, ours_of, stirred
from diffusers import UNet2DConditionModel
from torch import Tensor

import diffloom.nn
from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks
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


def cases(device: torch.device) -> Iterator[Case]:
    """The network alone, at one time, without gradients; ours with what a walk computes beforehand."""
    peer = stirred(UNet2DConditionModel(**SMALL)).to(device)
    own = ours_of(peer, device, "backbone")
    diffloom.nn.attend_with(own, Auto().build())
    half = UNet2DConditionModel(**SMALL).to(device, torch.bfloat16, memory_format=torch.channels_last).eval()
    half.load_state_dict(peer.state_dict())
    generator = torch.Generator().manual_seed(1)
    x_BCHW = torch.randn(2, 4, 32, 32, generator=generator).to(device)
    tokens_BLD = torch.randn(2, TOKENS, 128, generator=generator).to(device)
    t_B = torch.full((2,), TIMES[25], device=device)
    ready = {precision: ReadyNetworks().of(own, precision=precision) for precision in ("fp32", "bf16")}
    prepared = {
        precision: network.prepare(Condition(tokens_BLD=tokens_BLD), TIMES)
        for precision, network in ready.items()
    }

    @torch.inference_mode()
    def theirs(network: UNet2DConditionModel) -> Tensor:
        return network(x_BCHW.to(network.dtype), t_B, tokens_BLD.to(network.dtype)).sample

    @torch.inference_mode()
    def mine(precision: str) -> Tensor:
        return ready[precision](x_BCHW, t_B, prepared[precision])

    title, work = "text-conditional U-Net 17.8 M, guided step, batch 2", gflop(partial(theirs, peer))
    eager = Arm("diffusers fp32", partial(theirs, peer))
    yield Case(title, eager, [Arm("diffloom fp32", partial(mine, "fp32"))], work, rounds=15, target="≥ 1.11")
    halves = Arm("diffusers bf16, channels_last", partial(theirs, half))
    yield Case(title, halves, [Arm("diffloom bf16", partial(mine, "bf16"))], work, rounds=9)
