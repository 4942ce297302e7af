"""Variance of the reverse step p(x_s | x_t) (Ho et al. 2020, section 3.2). Only floats, so no torch import.

A step over a stride of times takes the β of the stride, 1 − ᾱ_t/ᾱ_s, where eq. 7 has β_t.
Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from diffloom.kinds import Variance
from diffloom.process.forward import Posterior

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process.denoised import Denoised
    from diffloom.process.types import Level


class FixedSmall:
    """β̃, the variance of the posterior q(x_s | x_t, x₀) (eq. 7): right for data at a single point."""

    def std(self, current: Level, following: Level, denoised: Denoised) -> float:
        """√β̃; 0 where s is clean."""
        return math.sqrt(Posterior.between(current, following).variance)

    def log_variance(self, current: Level, following: Level, denoised: Denoised, *, least: float) -> float:
        """log β̃; log `least` into the clean level."""
        return math.log(least if following.is_clean else Posterior.between(current, following).variance)


class FixedLarge:
    """β, the variance of the forward step q(x_t | x_s): right for data that are standard normal.

    0 into the clean level. improved-diffusion puts β̃₂ there, which its sampler never adds; diffusers adds √β
    in the last step of a grid that does not end at time 0.
    """

    def std(self, current: Level, following: Level, denoised: Denoised) -> float:
        """√β; 0 where s is clean."""
        return 0.0 if following.is_clean else math.sqrt(Posterior.between(current, following).beta)

    def log_variance(self, current: Level, following: Level, denoised: Denoised, *, least: float) -> float:
        """log β; log `least` into the clean level."""
        return math.log(least if following.is_clean else Posterior.between(current, following).beta)


class Learned:
    """The network's output is the logarithm of the variance, pixel by pixel (Nichol & Dhariwal 2021, section 3.1, which
    finds it hard to train: near 0 it is far from any β). 0 into the clean level.
    """

    def std(self, current: Level, following: Level, denoised: Denoised) -> Tensor | float:
        """exp of half the output, shaped as x_BCHW; the number 0 where s is clean. Raises ValueError without output."""
        output = variance_output(denoised)
        return 0.0 if following.is_clean else (output / 2).exp()

    def log_variance(self, current: Level, following: Level, denoised: Denoised, *, least: float) -> Tensor:
        """The output itself, into the clean level too."""
        return variance_output(denoised)


class LearnedRange:
    """From β̃ to β, evenly in the logarithm, each pixel as the network says (Nichol & Dhariwal 2021, eq. 15).

    Its output is −1 for β̃ and 1 for β, and nothing keeps it in between, as nothing does in the paper. 0 into the
    clean level, whose β̃ has no logarithm; guided-diffusion puts β̃₂ there, which its sampler never adds.
    """

    def std(self, current: Level, following: Level, denoised: Denoised) -> Tensor | float:
        """The root of exp(v·log β + (1 − v)·log β̃), shaped as x_BCHW; the number 0 where s is clean.

        Raises ValueError where the network has given no variance.
        """
        if following.is_clean:
            variance_output(denoised)
            return 0.0
        least = Posterior.between(current, following).variance
        return (self.log_variance(current, following, denoised, least=least) / 2).exp()

    def log_variance(self, current: Level, following: Level, denoised: Denoised, *, least: float) -> Tensor:
        """v·log β + (1 − v)·log β̃, shaped as x_BCHW; `least` is β̃ into the clean level."""
        posterior = Posterior.between(current, following)
        v_BCHW = (variance_output(denoised) + 1) / 2
        log_large = math.log(posterior.beta)
        log_small = math.log(least if following.is_clean else posterior.variance)
        return v_BCHW * log_large + (1 - v_BCHW) * log_small  # eq. 15


def variance_output(denoised: Denoised) -> Tensor:
    """The network's raw variance output. Raises ValueError where it has given none."""
    if denoised.variance_BCHW is None:
        raise ValueError(
            "a learned variance reads the second half of the network's output, and there is none: "
            "make the denoiser with learned_variance=True"
        )
    return denoised.variance_BCHW


class FixedSmallVariance(Variance):
    """Fixed at β̃, the posterior's (Ho et al. 2020)."""

    name = "fixed_small"
    equation: ClassVar[str] = "Var(x_s | x_t) = β̃ = σ_s²·(1 − SNR(t)/SNR(s))"

    def build(self) -> FixedSmall:
        """The variance."""
        return FixedSmall()


class FixedLargeVariance(Variance):
    """Fixed at β, the forward step's (Ho et al. 2020)."""

    name = "fixed_large"
    equation: ClassVar[str] = "Var(x_s | x_t) = β = σ²·(1 − SNR(t)/SNR(s))"

    def build(self) -> FixedLarge:
        """The variance."""
        return FixedLarge()


class LearnedRangeVariance(Variance):
    """From the posterior's β̃ to the forward step's β, as the network says (Nichol & Dhariwal 2021)."""

    name = "learned_range"
    equation: ClassVar[str] = "Var(x_s | x_t) = exp(v·log β + (1 − v)·log β̃), v from the network"
    learned = True

    def build(self) -> LearnedRange:
        """The variance."""
        return LearnedRange()


class LearnedVariance(Variance):
    """As the network says, which outputs its logarithm (Nichol & Dhariwal 2021, section 3.1)."""

    name = "learned"
    equation: ClassVar[str] = "Var(x_s | x_t) = exp(v), v from the network"
    learned = True

    def build(self) -> Learned:
        """The variance."""
        return Learned()
