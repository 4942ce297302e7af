"""Kind `spacing`: the noise levels a sampler visits."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from diffloom.kinds.component import Component
from diffloom.kinds.schedule import TimeAxis

if TYPE_CHECKING:
    from diffloom.kinds.schedule import NoiseSchedule
    from diffloom.process import Level


class Spacing(Component):
    """Chooses the noise levels a sampler visits."""

    kind: ClassVar[str] = "spacing"

    def check(self, *, axis: TimeAxis, steps: int) -> None:
        """Raise ValueError where `steps` levels cannot be had of such times; runs without torch, for lint."""

    @abstractmethod
    def levels(self, schedule: NoiseSchedule, *, steps: int) -> tuple[Level, ...]:
        """`steps` levels of strictly falling noise, none of them clean."""


class TimeSpacing(Spacing):
    """A spacing that chooses times. Needs no torch to do so."""

    @abstractmethod
    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        """`steps` strictly falling times of the axis, the noisiest first; whole steps of it where it has a count."""

    def check(self, *, axis: TimeAxis, steps: int) -> None:
        """Raise ValueError where there are no such times."""
        self.times(axis=axis, steps=steps)

    def levels(self, schedule: NoiseSchedule, *, steps: int) -> tuple[Level, ...]:
        """The levels at these times."""
        return schedule.levels(self.times(axis=schedule.axis, steps=steps))[:-1]
