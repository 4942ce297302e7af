"""diffusers' networks, and ours with the same weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import diffloom
from diffloom.testing.modules import awake
from diffloom_clip.library import import_torchvision


def import_peers() -> None:
    """Import torchvision, mended where it does not fit torch, before transformers does."""
    import_torchvision()


def stirred(network: Any) -> Any:
    """The network with none of its weights where it begins, as some begin at zero, and zeros hide differences."""
    awake(network).requires_grad_(False)
    return network


def halved(network: Any) -> Any:
    """A copy as fast as users of the peer make it in half precision: in bfloat16, pixel by pixel."""
    return copy.deepcopy(network).to(torch.bfloat16, memory_format=torch.channels_last)


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
