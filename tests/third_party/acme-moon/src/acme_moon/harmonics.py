"""The encoder. Legend: B batch, K harmonics, D = 2·K + 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diffloom.condition import Condition


class Harmonics(nn.Module):
    """Phases → (sin, cos) of their first K multiples, then 1; the null condition is all zeros."""

    turns_K: Tensor

    def __init__(self, *, period: float, count: int) -> None:
        super().__init__()
        turns_K = 2 * math.pi / period * torch.arange(1, count + 1)
        self.register_buffer("turns_K", turns_K, persistent=False)

    def encode(self, raw: Sequence[float]) -> Condition:
        """One row for each phase."""
        phase_B1 = torch.tensor(
            [[phase] for phase in raw], dtype=self.turns_K.dtype, device=self.turns_K.device
        )
        angle_BK = phase_B1 * self.turns_K
        return Condition(
            vector_BD=torch.cat([angle_BK.sin(), angle_BK.cos(), torch.ones_like(phase_B1)], dim=1)
        )

    def null(self, count: int) -> Condition:
        """No phase is known."""
        return Condition(vector_BD=self.turns_K.new_zeros(count, 2 * len(self.turns_K) + 1))
