"""Closed forms to examine parts against: noise levels, data whose perfect denoiser is known, a reference process.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffloom.kinds import TimeAxis
from diffloom.process import CLEAN, Denoised, Draws, Level


def preserving_at(log_snr: float) -> Level:
    """A variance-preserving level of any log-SNR; its time is that of `preserving(20)`, continued."""
    return Level((9 + log_snr) / -20 * 19 + 19, math.sqrt(_sigmoid(log_snr)), math.sqrt(_sigmoid(-log_snr)))


def exploding_at(log_snr: float) -> Level:
    """A variance-exploding level of any log-SNR; its time is log sigma."""
    return Level(-log_snr / 2, 1.0, math.exp(-log_snr / 2))


def flowing_at(log_snr: float) -> Level:
    """A level of a straight flow of any log-SNR; its time is sigma."""
    sigma = _sigmoid(-log_snr / 2)
    return Level(sigma, 1 - sigma, sigma)


def preserving(count: int) -> tuple[Level, ...]:
    """Variance-preserving levels, evenly spaced in log-SNR, then clean: 2·log(alpha/sigma) from −9 to 11."""
    return _levels([(math.sqrt(_sigmoid(snr)), math.sqrt(_sigmoid(-snr))) for snr in _spread(-9, 11, count)])


def exploding(count: int) -> tuple[Level, ...]:
    """Variance-exploding levels, sigma falling geometrically from 50 to 0.02, then clean."""
    return _levels([(1.0, math.exp(x)) for x in _spread(math.log(50), math.log(0.02), count)])


def flowing(count: int) -> tuple[Level, ...]:
    """Levels of a straight flow, alpha = 1 − sigma with sigma from 0.99 to 0.01, then clean."""
    return _levels([(1 - sigma, sigma) for sigma in _spread(0.99, 0.01, count)])


def normal(
    shape: Sequence[int], *, step: int = 0, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Keyed standard normal noise (B, ...); row b depends on b, step and seed only."""
    return Draws.of(seed, range(shape[0]), step).normal("conformance", shape[1:], dtype=dtype)


@dataclass(frozen=True)
class GaussianData:
    """Pixels that are independent and normal; `std` 0 is a single picture.

    The perfect denoiser is E[x₀ | x_t] = mean + alpha·std² / (alpha²·std² + sigma²) · (x_t − alpha·mean).
    """

    mean: Tensor | float
    std: float = 0.0

    def __call__(self, x: Tensor, level: Level) -> Denoised:
        gain = level.alpha * self.std**2 / (level.alpha**2 * self.std**2 + level.sigma**2)
        x0 = self.mean + gain * (x - level.alpha * self.mean)
        return Denoised(x0_BCHW=x0.to(x.dtype), eps_BCHW=((x - level.alpha * x0) / level.sigma).to(x.dtype))

    def at(self, level: Level, noise: Tensor) -> Tensor:
        """x_t of this level, made of standard normal noise; the probability flow keeps a picture's noise."""
        return level.alpha * self.mean + math.sqrt(level.alpha**2 * self.std**2 + level.sigma**2) * noise


@dataclass(frozen=True)
class MixtureData:
    """Pixels that are independent draws from a mixture of normal distributions, its weights adding up to 1."""

    weights: tuple[float, ...] = (0.35, 0.65)
    means: tuple[float, ...] = (-0.8, 0.6)
    stds: tuple[float, ...] = (0.15, 0.3)

    def __call__(self, x: Tensor, level: Level) -> Denoised:
        """E[x₀ | x_t]: the parts' perfect denoisers, weighted with the parts' probabilities given x_t."""
        parts = [GaussianData(*part) for part in zip(self.means, self.stds, strict=True)]
        log_density = torch.stack(
            [
                math.log(weight) - math.log(spread) - ((x - level.alpha * part.mean) / spread).square() / 2
                for weight, part in zip(self.weights, parts, strict=True)
                for spread in [math.hypot(level.alpha * part.std, level.sigma)]
            ]
        )
        x0 = (log_density.softmax(0) * torch.stack([part(x, level).x0_BCHW for part in parts])).sum(0)
        return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)

    def at(self, level: Level, noise: Tensor) -> Tensor:
        """x_t of the quantile that the noise has of the standard normal distribution.

        A flow in one dimension keeps the order of its points, and the probability flow keeps the distributions too: it
        keeps quantiles. So this is where its solution passes, from `at(noisier, noise)`.
        """
        share = torch.special.ndtr(noise)
        reach = torch.full_like(noise, level.alpha * 10 + level.sigma * 10)
        low, high = -reach, reach
        for _ in range(70):  # halves 20·sigma to a rounding error
            middle = (low + high) / 2
            below = self._cumulative(middle, level) < share
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    @property
    def mean(self) -> float:
        """The mean of a pixel."""
        return sum(w * m for w, m in zip(self.weights, self.means, strict=True))

    @property
    def std(self) -> float:
        """The standard deviation of a pixel."""
        parts = zip(self.weights, self.means, self.stds, strict=True)
        return math.sqrt(sum(w * (m * m + s * s) for w, m, s in parts) - self.mean**2)

    def _cumulative(self, x: Tensor, level: Level) -> Tensor:
        """The probability that a pixel of x_t is below x."""
        parts = zip(self.weights, self.means, self.stds, strict=True)
        return torch.stack(
            [
                w * torch.special.ndtr((x - level.alpha * m) / math.hypot(level.alpha * s, level.sigma))
                for w, m, s in parts
            ]
        ).sum(0)


class Posterior:
    """The variance β̃ of q(x_s | x_t, x₀) (Ho et al. 2020, eq. 7): exact for a single picture."""

    def std(self, current: Level, following: Level, denoised: Denoised) -> float:
        """Standard deviation of the step."""
        return following.sigma / current.sigma * math.sqrt(stride_beta(current, following))

    def log_variance(self, current: Level, following: Level, denoised: Denoised, *, least: float) -> float:
        """log std²; log `least` into the clean level."""
        return math.log(least if following.is_clean else self.std(current, following, denoised) ** 2)


def stride_beta(current: Level, following: Level) -> float:
    """Variance of q(x_t | x_s): sigma_t² − (alpha_t/alpha_s)²·sigma_s²."""
    ratio = current.alpha / following.alpha
    return current.sigma**2 - ratio**2 * following.sigma**2


class Quarter:
    """A variance-preserving schedule: the angle atan(sigma/alpha) rises evenly through a quarter turn."""

    axis = TimeAxis.table(64)

    def alpha(self, t: Tensor) -> Tensor:
        """cos of the angle."""
        return self._angle(t).cos()

    def sigma(self, t: Tensor) -> Tensor:
        """sin of the angle."""
        return self._angle(t).sin()

    def levels(self, times: Sequence[float]) -> tuple[Level, ...]:
        """The levels at these times, then clean."""
        angles = self._angle(torch.tensor(times, dtype=torch.float64)).tolist()
        return (*(Level(t, math.cos(a), math.sin(a)) for t, a in zip(times, angles, strict=True)), CLEAN)

    def log_snr(self, t: Tensor) -> Tensor:
        """−2·log tan of the angle."""
        return -2 * self._angle(t).tan().log()

    def time(self, log_snr: Tensor) -> Tensor:
        """The angle's place in the quarter turn."""
        angle = (-log_snr.double() / 2).exp().atan()
        return (angle / (math.pi / 2) * 65 - 1).clamp(0, 63)

    def level(self, log_snr: float) -> Level:
        """The level of a log-SNR."""
        snr = torch.tensor(log_snr, dtype=torch.float64)
        return Level(self.time(snr).item(), math.sqrt(_sigmoid(log_snr)), math.sqrt(_sigmoid(-log_snr)))

    def prior_std(self, level: Level) -> float:
        """1: the variance is preserved."""
        return 1.0

    def _angle(self, t: Tensor) -> Tensor:
        return (t.double() + 1) / 65 * (math.pi / 2)


class Noise:
    """The prediction ε."""

    def scale_in(self, alpha: Tensor | float, sigma: Tensor | float) -> float:
        """1."""
        return 1.0

    def gain(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """alpha/sigma."""
        return alpha / sigma

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """ε itself."""
        return eps

    def x0_eps(
        self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """x₀ from ε."""
        return (x_t - sigma * output) / alpha, output


def _levels(pairs: list[tuple[float, float]]) -> tuple[Level, ...]:
    last = len(pairs) - 1
    return (*(Level(float(last - i), alpha, sigma) for i, (alpha, sigma) in enumerate(pairs)), CLEAN)


def _spread(start: float, end: float, count: int) -> list[float]:
    return [start + (end - start) * i / max(count - 1, 1) for i in range(count)]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
