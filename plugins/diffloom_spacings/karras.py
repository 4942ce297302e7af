"""Spacings of sigma/alpha by a power, or a logarithm."""

from __future__ import annotations

import math

from pydantic import PositiveFloat

from diffloom_spacings.ratios import RatioSpacing


class Karras(RatioSpacing):
    """Evenly in sigma^(1/ρ): more steps at little noise (Karras et al. 2022, eq. 5).

    diffusers' `use_karras_sigmas`, k-diffusion's `get_sigmas_karras`.
    """

    name = "karras"

    rho: PositiveFloat = 7.0
    """ρ: 1 is even in sigma; the larger, the nearer to even in log sigma."""

    def ratios(self, largest: float, smallest: float, *, steps: int) -> list[float]:
        """(σ_max^(1/ρ) + i/(N−1)·(σ_min^(1/ρ) − σ_max^(1/ρ)))^ρ."""
        top, bottom = largest ** (1 / self.rho), smallest ** (1 / self.rho)
        return [(top + share * (bottom - top)) ** self.rho for share in shares(steps)]


class PolyExponential(RatioSpacing):
    """log sigma falls as a power of the way left: k-diffusion's `get_sigmas_polyexponential`."""

    name = "poly_exponential"

    rho: PositiveFloat = 1.0
    """The power: above 1, more steps at little noise."""

    def ratios(self, largest: float, smallest: float, *, steps: int) -> list[float]:
        """exp(log σ_min + (1 − i/(N−1))^ρ·(log σ_max − log σ_min))."""
        span = math.log(largest / smallest)
        return [smallest * math.exp((1 - share) ** self.rho * span) for share in shares(steps)]


class Exponential(RatioSpacing):
    """Evenly in log sigma. diffusers' `use_exponential_sigmas`, k-diffusion's `get_sigmas_exponential`."""

    name = "exponential"

    def ratios(self, largest: float, smallest: float, *, steps: int) -> list[float]:
        """σ_max·(σ_min/σ_max)^(i/(N−1))."""
        return [largest * (smallest / largest) ** share for share in shares(steps)]


class LogSNRUniform(Exponential):
    """Evenly in log-SNR (Lu et al. 2022, DPM-Solver, section 3.3): `exponential`, by the name DPM-Solver has for it.

    diffusers' `use_lu_lambdas`. Half the log-SNR is −log(sigma/alpha), so that both are one grid.
    """

    name = "log_snr_uniform"


def shares(steps: int) -> list[float]:
    """i/(N−1), 0 for a single step."""
    return [i / max(steps - 1, 1) for i in range(steps)]
