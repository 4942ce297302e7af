"""Schedules that know all times between two: variance preserving, geometric in sigma, and flows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffloom.kinds import TimeAxis
from diffloom.process.path import Exploding, PathSchedule, Preserving, Straight


class VP(PathSchedule):
    """β rises linearly in time: alpha = exp(−B/2) with B(t) = ½·β_d·t² + β_min·t (Song et al. 2021, eq. 33)."""

    path = Preserving()

    def __init__(self, *, beta_d: float, beta_min: float, first: float) -> None:
        self.beta_d = beta_d
        self.beta_min = beta_min
        self._axis = TimeAxis(first, 1.0, None)

    @property
    def axis(self) -> TimeAxis:
        """From `first` to 1."""
        return self._axis

    def log_snr(self, t: Tensor) -> Tensor:
        """−log(exp(B) − 1)."""
        t = self._known(t)
        return -(self.beta_d / 2 * t.square() + self.beta_min * t).expm1().log()

    def time(self, log_snr: Tensor) -> Tensor:
        """The root of ½·β_d·t² + β_min·t = log(1 + exp(−λ)), in the form without cancellation."""
        snr = log_snr.detach().to(device="cpu", dtype=torch.float64)
        b = torch.logaddexp(torch.zeros_like(snr), -snr)
        t = 2 * b / ((self.beta_min**2 + 2 * self.beta_d * b).sqrt() + self.beta_min)
        return t.nan_to_num(nan=1.0).clamp(self._axis.first, self._axis.last)  # ∞/∞ where no signal is left


class Geometric(PathSchedule):
    """alpha = 1, and sigma grows by equal factors in equal times: t = scale · ln sigma."""

    path = Exploding()

    def __init__(self, *, sigma_min: float, sigma_max: float, scale: float = 1.0) -> None:
        self.scale = scale
        self._axis = TimeAxis(scale * math.log(sigma_min), scale * math.log(sigma_max), None)

    @property
    def axis(self) -> TimeAxis:
        """From scale · ln sigma_min to scale · ln sigma_max."""
        return self._axis

    def log_snr(self, t: Tensor) -> Tensor:
        """−2·ln sigma."""
        return -2 / self.scale * self._known(t)

    def time(self, log_snr: Tensor) -> Tensor:
        """scale · ln sigma."""
        t = log_snr.detach().to(device="cpu", dtype=torch.float64) / -2 * self.scale
        return t.clamp(self._axis.first, self._axis.last)


class Flow(PathSchedule):
    """alpha = 1 − t, sigma = t: a straight line from data to noise, without signal at t = 1."""

    path = Straight()

    def __init__(self, *, first: float, shift: float = 1.0) -> None:
        self._axis = TimeAxis(first, 1.0, None, shift)

    @property
    def axis(self) -> TimeAxis:
        """From `first` to 1, bent by the shift."""
        return self._axis

    def alpha(self, t: Tensor) -> Tensor:
        """1 − t."""
        return 1 - self._known(t)

    def sigma(self, t: Tensor) -> Tensor:
        """t."""
        return self._known(t)

    def log_snr(self, t: Tensor) -> Tensor:
        """2·log((1 − t)/t); −∞ at t = 1."""
        t = self._known(t)
        return 2 * ((1 - t) / t).log()

    def time(self, log_snr: Tensor) -> Tensor:
        """sigmoid(−λ/2)."""
        snr = log_snr.detach().to(device="cpu", dtype=torch.float64)
        return self.path.sigma(snr).clamp(self._axis.first, self._axis.last)
