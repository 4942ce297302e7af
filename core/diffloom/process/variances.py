"""Variance of the reverse step p(x_s | x_t) (Ho et al. 2020, section 3.2). Only floats, so no torch import.

A step over a stride of times takes the β of the stride, 1 − ᾱ_t/ᾱ_s, where eq. 7 has β_t.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from diffloom.kinds import Variance

if TYPE_CHECKING:
    from diffloom.process.types import Denoised, Level


class FixedSmall:
    """β̃, the variance of the posterior q(x_s | x_t, x₀) (eq. 7): right for data at a single point."""

    def std(self, current: Level, following: Level, denoised: Denoised) -> float:
        """√β̃; 0 where s is clean."""
        from diffloom.process.forward import Posterior

        return math.sqrt(Posterior.between(current, following).variance)


class FixedLarge:
    """β, the variance of the forward step q(x_t | x_s): right for data that are standard normal.

    0 into the clean level. improved-diffusion puts β̃₂ there, which its sampler never adds; diffusers adds √β
    in the last step of a grid that does not end at time 0.
    """

    def std(self, current: Level, following: Level, denoised: Denoised) -> float:
        """√β; 0 where s is clean."""
        from diffloom.process.forward import Posterior

        return 0.0 if following.is_clean else math.sqrt(Posterior.between(current, following).beta)


class FixedSmallVariance(Variance):
    """Fixed at β̃, the posterior's (Ho et al. 2020)."""

    name = "fixed_small"

    def build(self) -> FixedSmall:
        """The variance."""
        return FixedSmall()


class FixedLargeVariance(Variance):
    """Fixed at β, the forward step's (Ho et al. 2020)."""

    name = "fixed_large"

    def build(self) -> FixedLarge:
        """The variance."""
        return FixedLarge()
