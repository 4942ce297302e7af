"""One step of the reverse SDE while the prediction stays as it is: all but the prediction is solved exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diffloom.process import Level


@dataclass(frozen=True, slots=True)
class Stride:
    """x_s = carry·x_t + gain·x₀ + std·z, from the noisier level t to the level s.

    With ρ = (sigma_s/alpha_s)/(sigma_t/alpha_t), the noise-to-signal that remains, and `kept`, the share of s's noise
    that is t's own; the rest is fresh. Any share keeps the marginals. Nothing is divided by alpha_t or by sigma_s, so
    that t may be pure noise, and s clean.
    """

    carry: float
    gain: float
    std: float

    @classmethod
    def between(cls, level: Level, next_level: Level, *, kept: float) -> Stride:
        """The coefficients, in float64."""
        shrink = next_level.sigma / level.sigma
        rho = remaining(level, next_level)
        return cls(
            carry=shrink * kept,
            gain=next_level.alpha * (1 - rho * kept),
            std=next_level.sigma * math.sqrt(1 - kept**2),
        )

    def counts(self, level: Level, *, less: float = 0.0) -> tuple[float, float]:
        """What x₀, less so much of it, and ε of the level t count, without noise: alpha_t·x₀ + sigma_t·ε is x_t."""
        return self.gain + self.carry * level.alpha - less, self.carry * level.sigma


def remaining(level: Level, next_level: Level) -> float:
    """ρ = e^(−h), h being the step in half-log-SNR λ."""
    return next_level.sigma * level.alpha / (next_level.alpha * level.sigma)


def kept_at_rate(level: Level, next_level: Level, rate: float) -> float:
    """The share where noise is renewed all along: e^(−rate·h), the solution of an SDE. Rate 1 is Song et al. 2021's.

    dx = [f·x − (1 + rate)/2·g²·∇log p] dt + √rate·g dW̄ (Xue et al. 2023, proposition 4.1 with τ² for rate).
    """
    return float(remaining(level, next_level) ** rate)


def kept_at_the_end(level: Level, next_level: Level, eta: float) -> float:
    """The share where noise is renewed once, at the end: √(1 − η²·(1 − ρ²)), as in DDIM (Song et al. 2020, eq. 16)."""
    return math.sqrt(1 - eta**2 * (1 - remaining(level, next_level) ** 2))
