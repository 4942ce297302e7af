"""diffusers' networks, and ours with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import diffloom
from diffloom_clip.library import import_torchvision


def import_peers() -> None:
    """Import torchvision, mended where it does not fit torch, before transformers does."""
    import_torchvision()


def stirred(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with all its weights at random: some begin at zero, and zeros hide differences."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() > 1:
                weight.normal_(0, weight[0].numel() ** -0.5, generator=generator)
            else:
                weight.add_(torch.empty_like(weight).normal_(0, 0.02, generator=generator))
    return network.eval().requires_grad_(False)


def ours_of(peer: Any, device: torch.device, kind: str | None = None) -> nn.Module:
    """Our network with a diffusers model's weights, through the bridge, as a user would load it."""
    with TemporaryDirectory() as folder:
        peer.save_pretrained(folder)
        return diffloom.load_component(folder, kind, device=device)


def gflop(call: Callable[[], object]) -> float:
    """Floating-point operations of a call, in 10⁹."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 1e9
