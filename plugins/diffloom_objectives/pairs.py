"""Which noise meets which example. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


class Independent:
    """As they were drawn."""

    def __call__(self, x0_BCHW: Tensor, eps_BCHW: Tensor) -> Tensor:
        """eps_BCHW."""
        return eps_BCHW


class Immiscible:
    """The assignment of noise to data with the least sum of distances (Li et al. 2024, algorithm 1)."""

    def __call__(self, x0_BCHW: Tensor, eps_BCHW: Tensor) -> Tensor:
        """The rows of eps_BCHW in another order; distances are taken in float64 on the CPU, alike on every device."""
        x0_BD, eps_BD = (value.detach().cpu().double().flatten(1) for value in (x0_BCHW, eps_BCHW))
        _, order = linear_sum_assignment(torch.cdist(x0_BD, eps_BD).numpy())
        return eps_BCHW[torch.from_numpy(order).to(eps_BCHW.device)]
