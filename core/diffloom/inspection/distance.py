"""How far samples are from others: one by one, or as draws of a distribution.

Legend: B samples, D numbers in each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def path_error(samples_BD: Tensor, reference_BD: Tensor) -> float:
    """Root mean square of the difference, row by row, over that of the reference: 0.01 is one per cent."""
    difference, size = (samples_BD - reference_BD).double(), reference_BD.double()
    return math.sqrt((difference.square().mean() / size.square().mean()).item())


@dataclass(frozen=True)
class Energy:
    """An estimate of the energy coefficient: 0 for one and the same distribution, 1 for two that share nothing."""

    coefficient: float
    """Unbiased up to its normalisation, and so below 0 in half of the cases where the distributions are the same."""
    standard_error: float
    """Of the estimate, by the jackknife over samples."""

    @property
    def is_seen(self) -> bool:
        """Whether it stands out of its own noise: beyond two standard errors."""
        return self.coefficient > 2 * self.standard_error


def energy(samples_BD: Tensor, reference_BD: Tensor) -> Energy:
    """(2·E|X−Y| − E|X−X'| − E|Y−Y'|) / (2·E|X−Y|): the energy distance squared, as Székely & Rizzo 2013 normalise it.

    Needs three rows or more. Row i of both may stem from the same noise: only pairs of different rows are compared,
    and those are independent.
    """
    x, y = samples_BD.double(), reference_BD.double()
    count = len(x)
    apart = ~torch.eye(count, dtype=torch.bool, device=x.device)
    cross = torch.where(apart, torch.cdist(x, y), 0)
    inner = torch.where(apart, torch.cdist(x, x) + torch.cdist(y, y), 0)
    across = cross + cross.T  # symmetric, as a U-statistic's kernel is
    totals = torch.stack([(across - inner).sum(), across.sum()])
    rows = torch.stack([(across - inner).sum(1), across.sum(1)])
    without = totals[:, None] - 2 * rows  # the sums over all pairs that row i is not in
    left_out = without[0] / without[1]
    spread = (count - 1) / count * (left_out - left_out.mean()).square().sum()
    return Energy((totals[0] / totals[1]).item(), spread.sqrt().item())
