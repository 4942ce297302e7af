"""Schedules made of another one: rescaled to end without signal, or shifted towards noise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PositiveInt, model_validator

from diffloom.kinds import NoiseSchedule, Schedule, SpaceInfo, TimeAxis
from diffloom.process.schedules import LinearSchedule, ScaledLinearSchedule

if TYPE_CHECKING:
    from typing import Self

    from diffloom.process.schedule import TableSchedule


class ZeroTerminalSNRSchedule(Schedule):
    """A table rescaled so that its last time has no signal left (Lin et al. 2023, algorithm 1).

    diffusers' schedulers say `rescale_betas_zero_snr: true`. Needs a prediction that knows x₀ at pure noise, such as v.
    """

    name = "zero_terminal_snr"

    schedule: Schedule
    """The schedule with a table that is rescaled."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(schedule=ScaledLinearSchedule()), cls(schedule=LinearSchedule(steps=50)))

    @model_validator(mode="after")
    def _has_a_table(self) -> Self:
        if self.schedule.axis.count is None:
            raise ValueError(f"only a table is rescaled, and {self.schedule.canonical} has none")
        if self.schedule.zero_snr:
            raise ValueError(f"{self.schedule.canonical} ends without signal already")
        if self.schedule.axis.count < 2:
            raise ValueError("a table of a single time has no first to keep")
        return self

    @property
    def axis(self) -> TimeAxis:
        """That of the schedule."""
        return self.schedule.axis

    @property
    def zero_snr(self) -> bool:
        """True."""
        return True

    def build(self, *, space: SpaceInfo | None = None) -> TableSchedule:
        """The rescaled table. Raises ValueError for a schedule that does not preserve the variance."""
        from diffloom.process.rescaled import without_terminal_signal

        return without_terminal_signal(self.schedule.build(space=space))


class LogSNRShiftSchedule(Schedule):
    """A schedule with its log-SNR moved by 2·log(base/size) (Hoogeboom et al. 2023, simple diffusion, section 3.1).

    A picture's average over patches keeps as much signal as one of base × base has. k-diffusion's
    `cosine-interpolated` moves the clean end less.
    """

    name = "log_snr_shift"

    schedule: Schedule
    """The schedule that is moved."""
    base: PositiveInt = 64
    """Height or width that the schedule is right for."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        from diffloom.process.continuous_schedules import VESchedule
        from diffloom.process.signal_schedules import CosineSchedule

        return (cls(schedule=CosineSchedule(steps=100), base=32), cls(schedule=VESchedule(), base=8))

    @property
    def axis(self) -> TimeAxis:
        """That of the schedule."""
        return self.schedule.axis

    @property
    def zero_snr(self) -> bool:
        """That of the schedule."""
        return self.schedule.zero_snr

    def build(self, *, space: SpaceInfo | None = None) -> NoiseSchedule:
        """The schedule for this size, the geometric mean of height and width. Raises ValueError without one."""
        from diffloom.process.rescaled import Shifted

        if space is None:
            raise ValueError("the shift depends on the size of what is diffused: build(space=...)")
        shift = math.log(self.base**2 / (space.height * space.width))  # 2·log(base/size)
        return Shifted.of(self.schedule.build(space=space), shift)
