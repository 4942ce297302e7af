"""A copy of a network for samples alone, which shares with it every weight that is the same."""

from __future__ import annotations

import copy

import torch
from torch import nn

from diffloom.inference.compute import Compute


@torch.no_grad()
def prepared(network: nn.Module, compute: Compute) -> nn.Module:
    """The network as it computes samples. Weights that change afterwards make the copy stale."""
    memo: dict[int, object] = {
        id(weight): _converted(weight, compute) for weight in (*network.parameters(), *network.buffers())
    }
    ready = copy.deepcopy(network, memo)
    return ready.eval().requires_grad_(False)


def _converted(weight: torch.Tensor, compute: Compute) -> torch.Tensor:
    """The weight in the type and layout of the copy; its own memory where both are the same."""
    if not weight.is_floating_point():
        return weight
    layout = torch.channels_last if compute.channels_last and weight.dim() == 4 else torch.preserve_format
    data = weight.detach().to(dtype=compute.dtype, memory_format=layout)
    return nn.Parameter(data, requires_grad=False) if isinstance(weight, nn.Parameter) else data
