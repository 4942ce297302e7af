"""One step of sampling in pixels, compiled on both sides: a small U-Net, as compiling a large one takes minutes.

What compiling takes where torch has compiled neither before is printed first; the figures show nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.compiled import compiled
from benchmarks.speed.goal import Goal
from benchmarks.speed.peers import gflop, ours_of, stirred
from benchmarks.speed.works.sampling_step import CIFAR
from diffusers import UNet2DModel
from torch import Tensor

from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks
from diffloom.nn.compilation import compiler_fault, keep_compiled

SMALL = CIFAR | {
    "block_out_channels": (32, 64),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
}
MILLIONS, BATCH = 0.7, 16


def cases(device: torch.device) -> Iterator[Case]:
    """The network alone, at one time, without gradients; nothing where this machine cannot compile."""
    keep_compiled()
    if (fault := compiler_fault(device)) is not None:
        print(f"compiled_step: this machine cannot compile: {fault}")
        return
    peer = stirred(UNet2DModel(**SMALL)).to(device)
    own = ours_of(peer, device)
    x_BCHW = torch.randn(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(device)
    t_B = torch.full((BATCH,), 500.0, device=device)
    whole, blocks, plain = compiled(peer, device), ReadyNetworks(), ReadyNetworks()

    @torch.no_grad()
    def theirs(network: Any) -> Tensor:
        output: Tensor = network(x_BCHW, t_B).sample
        return output.clone()  # what a CUDA graph returns is overwritten by the next call

    @torch.no_grad()
    def mine(networks: ReadyNetworks, compiles: bool) -> Tensor:
        return networks.of(own, precision="fp32", compiles=compiles)(x_BCHW, t_B, Condition())

    goals = [Goal("pixel U-Net, sampling step, both compiled", "speed", 1.1)] if device.type == "cuda" else []
    arms = [
        Arm("diffusers fp32, compiled", partial(theirs, whole)),
        Arm("diffloom fp32, compiled", partial(mine, blocks, True), goals),
    ]
    for arm in arms:
        began = time.perf_counter()
        arm.call()
        print(f"{arm.name}: the first call took {time.perf_counter() - began:.0f} s", flush=True)
    uncompiled = Arm("diffloom fp32, not compiled", partial(mine, plain, False))
    title = f"pixel U-Net {MILLIONS} M, sampling step, batch {BATCH}"
    yield Case(title, arms[0], [arms[1], uncompiled], gflop(partial(theirs, peer)), rounds=5)
