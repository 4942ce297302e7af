"""The schedules a YAML file can name by the signal ᾱ(u) that is left at a share u of the way."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from diffloom.process.schedules import BetaSchedule, Fraction


class SignalSchedule(BetaSchedule):
    """A schedule given by ᾱ(u), u from 0 to 1, up to a factor; β_t is what it loses from (t − 1)/T to t/T."""

    beta_cap: Fraction = 0.999
    """Largest β, which keeps the last steps finite."""

    @abstractmethod
    def signal(self, u: float) -> float:
        """ᾱ(u), times any constant."""

    def betas(self) -> list[float]:
        """β₁ … β_T."""
        T = self.steps
        return [min(1 - self.signal((t + 1) / T) / self.signal(t / T), self.beta_cap) for t in range(T)]


class CosineSchedule(SignalSchedule):
    """ᾱ falls as a squared cosine (Nichol & Dhariwal 2021, eq. 17). diffusers calls this `squaredcos_cap_v2`."""

    name = "cosine"
    equation: ClassVar[str] = (
        "ᾱ ∝ cos²((u + {s})/(1 + {s})·π/2), u from 0 to 1, β ≤ {beta_cap};  α = √ᾱ, σ = √(1 − ᾱ)"
    )

    s: NonNegativeFloat = 0.008
    """Offset that keeps β from vanishing near t = 0."""

    def signal(self, u: float) -> float:
        """cos²((u + s)/(1 + s) · π/2)."""
        return math.cos((u + self.s) / (1 + self.s) * math.pi / 2) ** 2  # eq. 17


class SigmoidSchedule(SignalSchedule):
    """ᾱ falls as a sigmoid (Jabri et al. 2022, algorithm 1). diffusers' `sigmoid` is another: `sigmoid_beta`."""

    name = "sigmoid"

    start: float = -3.0
    """Where on the sigmoid u = 0 lies."""
    end: float = 3.0
    """Where on the sigmoid u = 1 lies."""
    tau: PositiveFloat = 1.0
    """Temperature: below 1 the fall is steeper."""

    @model_validator(mode="after")
    def _falls(self) -> SigmoidSchedule:
        if self.start >= self.end:
            raise ValueError(f"end {self.end:g} must lie above start {self.start:g}, or ᾱ does not fall")
        return self

    def signal(self, u: float) -> float:
        """What the sigmoid still has to rise at u."""
        return self._rise(1.0) - self._rise(u)

    def _rise(self, u: float) -> float:
        return 1 / (1 + math.exp(-(u * (self.end - self.start) + self.start) / self.tau))


class LaplaceSchedule(SignalSchedule):
    """The log-SNR has a Laplace distribution, peaked where learning is hardest (Hang et al. 2024, table 1).

    diffusers calls this `laplace` too, and takes √(SNR/(1 + SNR)), which is alpha, for ᾱ; `rooted` does so.
    """

    name = "laplace"

    mu: float = 0.0
    """Mean of the log-SNR."""
    b: PositiveFloat = 0.5
    """Scale of the distribution."""
    rooted: bool = False
    """Whether ᾱ is the root of SNR/(1 + SNR), as in diffusers."""

    def signal(self, u: float) -> float:
        """sigmoid of the log-SNR's quantile 1 − u, with the infinite ones at both ends cut off."""
        tail = math.log(1 - 2 * abs(0.5 - u) + 1e-6)
        snr = math.exp(self.mu - self.b * math.copysign(1.0, 0.5 - u) * tail)
        return math.sqrt(snr / (1 + snr)) if self.rooted else snr / (1 + snr)


class ExponentialSchedule(SignalSchedule):
    """ᾱ falls exponentially: one β for all steps, said by the end. diffusers' Heun calls this `exp`."""

    name = "exponential"
    equation: ClassVar[str] = "ᾱ = exp(−{rate}·u), u from 0 to 1, β ≤ {beta_cap};  α = √ᾱ, σ = √(1 − ᾱ)"

    rate: PositiveFloat = 12.0
    """ᾱ_T is exp(−rate)."""

    def signal(self, u: float) -> float:
        """exp(−rate · u)."""
        return math.exp(-self.rate * u)
