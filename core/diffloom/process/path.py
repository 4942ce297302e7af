"""Schedules along a path: alpha and sigma are functions of the log-SNR, and that is a function of time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from diffloom.kinds import TimeAxis
from diffloom.process.types import CLEAN, Level

SLACK = 1e-6
"""How far beyond its ends a time may be, as a share of the axis or of 1: float32 cannot say every end."""


class NoisePath(Protocol):
    """The pairs (alpha, sigma) that a schedule goes through, by their log-SNR λ = log(alpha²/sigma²)."""

    def alpha(self, log_snr: Tensor) -> Tensor:
        """alpha, shaped as λ."""
        ...

    def sigma(self, log_snr: Tensor) -> Tensor:
        """sigma, shaped as λ."""
        ...

    def prior_std(self, level: Level) -> float:
        """Standard deviation of what a walk begins with."""
        ...


class Preserving:
    """alpha² + sigma² = 1: data of variance 1 keep it (Kingma et al. 2021, eq. 3)."""

    def alpha(self, log_snr: Tensor) -> Tensor:
        """√sigmoid(λ)."""
        return log_snr.sigmoid().sqrt()

    def sigma(self, log_snr: Tensor) -> Tensor:
        """√sigmoid(−λ)."""
        return (-log_snr).sigmoid().sqrt()

    def prior_std(self, level: Level) -> float:
        """1."""
        return 1.0


class Exploding:
    """alpha = 1: noise is added to data that stay as they are (Song et al. 2021, section 3.4)."""

    def alpha(self, log_snr: Tensor) -> Tensor:
        """1."""
        return torch.ones_like(log_snr)

    def sigma(self, log_snr: Tensor) -> Tensor:
        """exp(−λ/2)."""
        return (-log_snr / 2).exp()

    def prior_std(self, level: Level) -> float:
        """sigma, beside which the data are nothing (Karras et al. 2022, algorithm 1)."""
        return level.sigma


class Straight:
    """alpha + sigma = 1: the straight line from data to noise (Liu et al. 2022; Lipman et al. 2022)."""

    def alpha(self, log_snr: Tensor) -> Tensor:
        """sigmoid(λ/2)."""
        return (log_snr / 2).sigmoid()

    def sigma(self, log_snr: Tensor) -> Tensor:
        """sigmoid(−λ/2)."""
        return (-log_snr / 2).sigmoid()

    def prior_std(self, level: Level) -> float:
        """That of x_t for data of variance 1: 1 at the end of the line."""
        return math.hypot(level.alpha, level.sigma)


class PathSchedule(ABC):
    """A schedule along a path (`diffloom.kinds.NoiseSchedule`); a subclass says log_snr(t) and its inverse."""

    path: NoisePath

    @property
    @abstractmethod
    def axis(self) -> TimeAxis:
        """The times it knows."""

    @abstractmethod
    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha²/sigma²) at times t (any shape), float64 of the same shape. Raises ValueError off the axis."""

    @abstractmethod
    def time(self, log_snr: Tensor) -> Tensor:
        """The times of these log-SNRs (any shape), the nearest end of the axis for those beyond it."""

    def alpha(self, t: Tensor) -> Tensor:
        """alpha at times t (any shape), float64 of the same shape."""
        return self.path.alpha(self.log_snr(t))

    def sigma(self, t: Tensor) -> Tensor:
        """sigma at times t (any shape), float64 of the same shape."""
        return self.path.sigma(self.log_snr(t))

    def levels(self, times: Sequence[float]) -> tuple[Level, ...]:
        """The noise level at each time, then the clean level: one more than `times`."""
        t = torch.tensor(list(times), dtype=torch.float64)
        values = zip(times, self.alpha(t).tolist(), self.sigma(t).tolist(), strict=True)
        return (*(Level(t=float(time), alpha=alpha, sigma=sigma) for time, alpha, sigma in values), CLEAN)

    def level(self, log_snr: float) -> Level:
        """The noise level of a finite log-SNR, on the axis or beyond it."""
        snr = torch.tensor(log_snr, dtype=torch.float64)
        alpha, sigma = self.path.alpha(snr), self.path.sigma(snr)
        return Level(t=self.time(snr).item(), alpha=alpha.item(), sigma=sigma.item())

    def prior_std(self, level: Level) -> float:
        """Standard deviation of what a walk that starts at `level` starts from."""
        return self.path.prior_std(level)

    def _known(self, t: Tensor) -> Tensor:
        """The times in float64 on the CPU. Raises ValueError for one off the axis."""
        t = t.detach().to(device="cpu", dtype=torch.float64)
        first, last = self.axis.first, self.axis.last
        slack = SLACK * max(1.0, last - first)
        known = (t >= first - slack) & (t <= last + slack)
        if not bool(known.all()):
            wrong = t[~known].flatten()[0].item()
            raise ValueError(f"time {wrong:g} is not in the schedule: times run from {first:g} to {last:g}")
        return t.clamp(first, last)
