"""Spacings by the quantiles of a Beta distribution: dense at both ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveFloat

from diffloom.kinds import TimeAxis, TimeSpacing
from diffloom_spacings.indices import distinct, falling, falling_shares, room
from diffloom_spacings.karras import shares
from diffloom_spacings.ratios import RatioSpacing

if TYPE_CHECKING:
    from collections.abc import Sequence


class Beta(TimeSpacing):
    """Times at the quantiles of a Beta distribution: more of them at both ends (Lee et al. 2024, section 4).

    The paper's, and ComfyUI's `beta`, but that with many steps no time comes twice. diffusers' `use_beta_sigmas` takes
    quantiles of sigma instead: `beta_ratio`.
    """

    name = "beta"

    alpha: PositiveFloat = 0.6
    """First parameter: the smaller, the denser the clean end."""
    beta: PositiveFloat = 0.6
    """Second parameter: the smaller, the denser the noisy end."""

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        """`steps` falling times, the noisiest being the schedule's last."""
        rising = [(i + 1) / steps for i in range(steps)]
        if axis.count is None:
            return falling_shares(axis, quantiles(rising, self.alpha, self.beta))
        last = room(axis, steps) - 1
        whole = [round(share * last) for share in quantiles(rising, self.alpha, self.beta)]
        return falling(axis, distinct(whole, axis.count))


class BetaRatio(RatioSpacing):
    """sigma/alpha at the quantiles of a Beta distribution: diffusers' `use_beta_sigmas`.

    The paper (Lee et al. 2024) has quantiles of time: `beta`.
    """

    name = "beta_ratio"

    alpha: PositiveFloat = 0.6
    """First parameter: the smaller, the denser the clean end."""
    beta: PositiveFloat = 0.6
    """Second parameter: the smaller, the denser the noisy end."""

    def ratios(self, largest: float, smallest: float, *, steps: int) -> list[float]:
        """σ_min + quantile(1 − i/(N−1))·(σ_max − σ_min)."""
        places = quantiles([1 - share for share in shares(steps)], self.alpha, self.beta)
        return [smallest + place * (largest - smallest) for place in places]


def quantiles(shares: Sequence[float], alpha: float, beta: float) -> list[float]:
    """Of Beta(alpha, beta)."""
    from scipy.special import betaincinv

    return [float(betaincinv(alpha, beta, share)) for share in shares]
