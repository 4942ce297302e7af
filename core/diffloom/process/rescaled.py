"""Schedules computed from another: without signal at the end, or with another log-SNR."""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.kinds import NoiseSchedule, TimeAxis
from diffloom.process.path import PathSchedule
from diffloom.process.schedule import TableSchedule


def without_terminal_signal(schedule: NoiseSchedule) -> TableSchedule:
    """√ᾱ shifted so that its last is 0, and scaled so that its first stays (Lin et al. 2023, algorithm 1).

    Raises ValueError for a schedule that does not preserve the variance.
    """
    axis = schedule.axis
    t = torch.tensor([axis.whole(index) for index in range(axis.count or 0)], dtype=torch.float64)
    root, sigma = schedule.alpha(t), schedule.sigma(t)
    if not torch.allclose(root.square() + sigma.square(), torch.ones_like(root)):
        raise ValueError("only a schedule that preserves the variance, alpha² + sigma² = 1, is rescaled")
    rescaled = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return TableSchedule(rescaled.square())


class Shifted(PathSchedule):
    """A schedule on the same path, with the log-SNR λ(t) + shift at time t (Hoogeboom et al. 2023, section 3.1)."""

    def __init__(self, schedule: PathSchedule, shift: float) -> None:
        self.schedule = schedule
        self.shift = shift
        self.path = schedule.path

    @classmethod
    def of(cls, schedule: NoiseSchedule, shift: float) -> PathSchedule:
        """The shifted schedule; of a table it is a table. Raises ValueError for one that has no path."""
        if isinstance(schedule, TableSchedule):
            return TableSchedule((_log_snr(schedule) + shift).sigmoid())
        if not isinstance(schedule, PathSchedule):
            raise ValueError(
                f"{type(schedule).__name__} cannot be shifted: it does not say what alpha and sigma belong to a "
                "log-SNR; make it a diffloom.process.PathSchedule"
            )
        return cls(schedule, shift)

    @property
    def axis(self) -> TimeAxis:
        """The schedule's own."""
        return self.schedule.axis

    def log_snr(self, t: Tensor) -> Tensor:
        """That of the schedule, shifted."""
        return self.schedule.log_snr(t) + self.shift

    def time(self, log_snr: Tensor) -> Tensor:
        """The schedule's time of what was shifted."""
        return self.schedule.time(log_snr - self.shift)


def _log_snr(table: TableSchedule) -> Tensor:
    return table.log_snr(torch.arange(table.steps))
