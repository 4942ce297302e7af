"""One step of sampling in pixels, compiled on both sides: a small U-Net, as compiling a large one takes minutes.

Slow where torch has compiled neither before: about a minute, of which the figures show nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.peers import gflop, ours_of, stirred
from benchmarks.speed.works.sampling_step import CIFAR
from diffusers import UNet2DModel
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks
from diffloom.nn.compilation import compiler_fault, keep_compiled

SMALL = CIFAR | {
    "block_out_channels": (64, 128),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
}


def cases(device: torch.device) -> Iterator[Case]:
    """The network alone, at one time, without gradients; nothing where this machine cannot compile."""
    keep_compiled()
    if (fault := compiler_fault(device)) is not None:
        print(f"compiled_step: this machine cannot compile: {fault}")
        return
    peer = stirred(UNet2DModel(**SMALL)).to(device)
    own = ours_of(peer, device)
    x_BCHW = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(device)
    t_B = torch.full((16,), 500.0, device=device)
    mode = "reduce-overhead" if device.type == "cuda" else None
    compiled: nn.Module = torch.compile(peer, mode=mode)
    eager_networks, compiled_networks = ReadyNetworks(), ReadyNetworks()

    @torch.no_grad()
    def theirs(network: nn.Module) -> Tensor:
        return network(
            x_BCHW, t_B
        ).sample.clone()  # what a CUDA graph returns is overwritten by the next call

    @torch.no_grad()
    def mine(networks: ReadyNetworks, compiles: bool) -> Tensor:
        return networks.of(own, precision="fp32", compiles=compiles)(x_BCHW, t_B, Condition())

    yield Case(
        "pixel U-Net 3.3 M, sampling step, batch 16, compiled",
        Arm("diffusers fp32, compiled", partial(theirs, compiled)),
        [
            Arm("diffloom fp32, compiled", partial(mine, compiled_networks, True)),
            Arm("diffloom fp32, not compiled", partial(mine, eager_networks, False)),
        ],
        gflop(partial(theirs, peer)),
        rounds=5,
        target="GPU ≥ 1.1",
    )
