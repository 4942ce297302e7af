"""Spacing `explicit`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PositiveFloat, model_validator

from diffloom.kinds import Spacing, TimeAxis
from diffloom_spacings.ratios import ratio_levels

if TYPE_CHECKING:
    from typing import Self

    from diffloom.kinds import NoiseSchedule
    from diffloom.process import Level


class Explicit(Spacing):
    """The levels as listed, by time or by sigma, noisiest first and without the clean end.

    The number of steps follows, and `sampling.steps` must say it too.
    """

    name = "explicit"

    times: tuple[float, ...] | None = None
    """Times of the schedule, fractions included."""
    sigmas: tuple[PositiveFloat, ...] | None = None
    """Ratios sigma/alpha, which are the sigmas of Karras et al. 2022 and of k-diffusion."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(sigmas=(10.0, 1.5, 0.5)), cls(times=(0.75, 0.5)), cls(times=(60.0, 31.5, 0.0)))

    @model_validator(mode="after")
    def _one_falling_list(self) -> Self:
        if (self.times is None) == (self.sigmas is None):
            raise ValueError("give either times or sigmas")
        if not self._values:
            raise ValueError("an empty list is no walk")
        for earlier, later in pairwise(self._values):
            if later >= earlier:
                raise ValueError(f"levels fall, and {later:g} does not lie below {earlier:g}")
        return self

    @property
    def _values(self) -> tuple[float, ...]:
        values = self.times if self.sigmas is None else self.sigmas
        assert values is not None
        return values

    def check(self, *, axis: TimeAxis, steps: int) -> None:
        """Raise ValueError for another number of steps, or times off the axis."""
        if steps != len(self._values):
            raise ValueError(f"{len(self._values)} levels are listed: set sampling.steps to that")
        if self.times is not None:
            for time in (self.times[0], self.times[-1]):
                if not axis.first <= time <= axis.last:
                    raise ValueError(
                        f"time {time:g} is not in the schedule: times run from {axis.first:g} to {axis.last:g}; "
                        "take times among these"
                    )

    def levels(self, schedule: NoiseSchedule, *, steps: int) -> tuple[Level, ...]:
        """The levels. Raises ValueError where `check` does."""
        self.check(axis=schedule.axis, steps=steps)
        if self.sigmas is None:
            return schedule.levels(self._values)[:-1]
        return ratio_levels(schedule, self.sigmas)
