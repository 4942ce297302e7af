"""Times as functions of an example's draws. Legend: B batch, u the share of the way along the schedule's axis."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from diffloom.kinds import NoiseSchedule, TimeAxis
from diffloom.process import Draws, keyed_generator


def time_at(axis: TimeAxis, u_B: Tensor) -> Tensor:
    """The time that each share stands for: of T counted ones that of the u's part, of T equal parts."""
    if axis.count is None:
        return axis.at(u_B)
    number_B = (u_B * axis.count).floor().clamp(max=axis.count - 1)
    return axis.first + number_B * axis.stride


class Shares(ABC):
    """A timing that draws shares."""

    @abstractmethod
    def shares(self, draws: Draws) -> Tensor:
        """The share of each example in [0, 1], float64 (B,)."""

    def __call__(self, draws: Draws, *, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        """The times, and 1 for each."""
        u_B = self.shares(draws)
        return time_at(schedule.axis, u_B), torch.ones_like(u_B)


class Even(Shares):
    """Uniform shares."""

    def shares(self, draws: Draws) -> Tensor:
        return draws.uniform("time")


@dataclass(frozen=True)
class Stratified(Shares):
    """(u + n/strata) mod 1 for the example at place n, with one u for each `strata` places in a row."""

    strata: int

    def shares(self, draws: Draws) -> Tensor:
        u_B = torch.tensor(
            [self._round(seed, place, draws.step) for seed, place in draws.keys], dtype=torch.float64
        )
        place_B = torch.tensor([place % self.strata for _, place in draws.keys], dtype=torch.float64)
        return (u_B + place_B / self.strata) % 1  # Kingma et al. 2021, appendix I.1

    def _round(self, seed: int, place: int, step: int) -> float:
        return keyed_generator(seed, place // self.strata, step, "round of times").random()


@dataclass(frozen=True)
class LogitNormal(Shares):
    """sigmoid(mean + std·z)."""

    mean: float
    std: float

    def shares(self, draws: Draws) -> Tensor:
        return (self.mean + self.std * _normal(draws)).sigmoid()  # Esser et al. 2024, eq. 19


@dataclass(frozen=True)
class Mode(Shares):
    """1 − u − scale·(cos²(πu/2) − 1 + u)."""

    scale: float

    def shares(self, draws: Draws) -> Tensor:
        u_B = draws.uniform("time")
        bend_B = (math.pi / 2 * u_B).cos().square() - 1 + u_B
        return (1 - u_B - self.scale * bend_B).clamp(0, 1)  # Esser et al. 2024, eq. 20


class CosMap(Shares):
    """1 − 1/(tan(πu/2) + 1)."""

    def shares(self, draws: Draws) -> Tensor:
        return 1 - 1 / ((math.pi / 2 * draws.uniform("time")).tan() + 1)  # Esser et al. 2024, eq. 21


@dataclass(frozen=True)
class LogNormal:
    """The times of levels whose ln(sigma/alpha) is normal."""

    mean: float
    std: float

    def __call__(self, draws: Draws, *, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        """The times, and 1 for each."""
        axis = schedule.axis
        log_ratio_B = self.mean + self.std * _normal(draws)  # Karras et al. 2022, table 1
        with torch.no_grad():
            t_B = schedule.time(-2 * log_ratio_B)
        if axis.count is not None:
            t_B = axis.first + ((t_B - axis.first) / axis.stride).round() * axis.stride
        return t_B, torch.ones_like(t_B)


def _normal(draws: Draws) -> Tensor:
    return draws.normal("time", (1,), dtype=torch.float64).squeeze(1)
