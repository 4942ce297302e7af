"""Averages of the weights."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from diffloom.kinds import EMA


class Exponential(EMA):
    """An exponential moving average: the same share of it stays at each step."""

    name = "exponential"

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    """What stays of the average at each optimiser step."""
    warmup: bool = True
    """Hold the decay at (1 + n) / (10 + n) after n averages while that is smaller, and at 0 for the first:
    early weights are forgotten."""

    def remaining(self, step: int, *, batch_size: int) -> float:
        if not self.warmup:
            return self.decay
        taken = step - 1
        return 0.0 if taken == 0 else min((1 + taken) / (10 + taken), self.decay)
