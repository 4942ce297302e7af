"""Averages of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from diffloom.kinds import EMA

WIDEST = 0.288
"""σ_rel of the power function that forgets least, τ⁰, is 1/√12 = 0.2887."""


class Exponential(EMA):
    """An exponential moving average: the same share of it stays at each step."""

    name = "exponential"
    equation = "w̄ ← {decay}·w̄ + (1 − {decay})·w at each optimiser step"

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

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Exponential]:
        return cls(), cls(decay=0.9, warmup=False)


class HalfLife(EMA):
    """An exponential moving average that has forgotten half after so many pictures, whatever the batch."""

    name = "half_life"
    equation = "w̄ ← β·w̄ + (1 − β)·w with β = ½ to the power of batch / {images} pictures"

    images: PositiveInt = 500_000
    """Pictures after which half of the average is newer weights."""
    rampup: PositiveFloat | None = 0.05
    """While few pictures were seen, the half-life is at most this share of them: early weights are forgotten. null
    has the whole half-life from the first step."""

    def remaining(self, step: int, *, batch_size: int) -> float:
        seen = (step - 1) * batch_size
        half_life = self.images if self.rampup is None else min(self.images, self.rampup * seen)
        return 0.5 ** (batch_size / half_life) if half_life else 0.0

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[HalfLife]:
        return cls(), cls(images=1000, rampup=None)


class Power(EMA):
    """The average whose width is a share of the run, of Karras et al. 2024: it need not be told the run's length.

    Two of these, with `train.snapshot_every`, are what `diffloom ema reconstruct` makes any other one from.
    """

    name = "power"
    equation = "w̄ ← β·w̄ + (1 − β)·w with β = (1 − 1/t)^(γ+1), whose width is {sigma_rel} of the run"

    sigma_rel: Annotated[float, Field(gt=0, le=WIDEST)] = 0.1
    """Standard deviation of the average over the steps, as a share of those taken: 0.05 is short, 0.25 long."""

    @property
    def exponent(self) -> float:
        return exponent_of(self.sigma_rel)

    def remaining(self, step: int, *, batch_size: int) -> float:
        """β_t = (1 − 1/t)^(γ+1) (Karras et al. 2024, section 3.1, eq. 2)."""
        return float((1 - 1 / step) ** (self.exponent + 1))

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Power]:
        return cls(), cls(sigma_rel=0.05), cls(sigma_rel=WIDEST)


@lru_cache
def exponent_of(sigma_rel: float) -> float:
    """γ ≥ 0 of the profile τ^γ whose standard deviation is σ_rel, the largest root of
    (γ + 1) = σ_rel²·(γ + 2)²·(γ + 3) (Karras et al. 2024, section 3.1), by Newton's method from above."""
    variance = sigma_rel**2
    gamma, last = 1 / sigma_rel, math.inf
    while gamma < last:  # the cubic is convex there, so the steps fall until rounding turns them
        last = gamma
        value = variance * (gamma + 2) ** 2 * (gamma + 3) - (gamma + 1)
        slope = variance * (gamma + 2) * (3 * gamma + 8) - 1
        gamma -= value / slope
    return last
