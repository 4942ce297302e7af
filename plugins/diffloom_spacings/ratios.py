"""Spacings of the ratio sigma/alpha, the sigma of Karras et al. 2022, on any schedule."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import PositiveFloat, model_validator

from diffloom.kinds import Spacing
from diffloom_spacings.indices import at_least_one

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from diffloom.kinds import NoiseSchedule
    from diffloom.process import Level

NEAR = 1e-3
"""How far beyond the schedule's ends a sigma may be written, relative to it: 14.615 is Stable Diffusion's 14.6146."""


class RatioSpacing(Spacing):
    """A spacing of sigma/alpha between two ends, those of the schedule unless said otherwise.

    Where the schedule ends without any signal, there is no largest sigma: then the walk begins at that end itself, and
    the other levels are spaced from one N-th of the times before it, where `trailing` would go next.
    """

    sigma_min: PositiveFloat | None = None
    """Smallest sigma/alpha; null is that of the schedule's first time."""
    sigma_max: PositiveFloat | None = None
    """Largest sigma/alpha; null is that of the schedule's last time."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.sigma_min is not None and self.sigma_max is not None and self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_max {self.sigma_max:g} must lie above sigma_min {self.sigma_min:g}")
        return self

    @abstractmethod
    def ratios(self, largest: float, smallest: float, *, steps: int) -> list[float]:
        """`steps` falling ratios from the largest to the smallest; one is the largest."""

    def levels(self, schedule: NoiseSchedule, *, steps: int) -> tuple[Level, ...]:
        """`steps` falling levels. Raises ValueError for ends that the schedule does not reach."""
        at_least_one(steps)
        last, first, _ = schedule.levels([schedule.axis.last, schedule.axis.first])
        largest, smallest = self.sigma_max or last.ratio, self.sigma_min or first.ratio
        pure: tuple[Level, ...] = ()
        if math.isinf(largest):
            pure, steps = (last,), steps - 1
            if steps == 0:
                return pure
            largest = schedule.levels([schedule.axis.at(steps / (steps + 1))])[0].ratio
        if smallest >= largest and steps > 1:
            raise ValueError(
                f"there is nothing between sigma_max {largest:g} and sigma_min {smallest:g}; set another of them"
            )
        return (*pure, *ratio_levels(schedule, self.ratios(largest, smallest, steps=steps)))


def ratio_levels(schedule: NoiseSchedule, ratios: Sequence[float]) -> tuple[Level, ...]:
    """The levels of these sigma/alpha. Raises ValueError for one that the schedule does not reach."""
    last, first, _ = schedule.levels([schedule.axis.last, schedule.axis.first])
    for ratio in ratios:
        if not first.ratio * (1 - NEAR) <= ratio <= last.ratio * (1 + NEAR):
            raise ValueError(
                f"sigma {ratio:g} is not in the schedule, whose sigma/alpha runs from {first.ratio:g} to "
                f"{last.ratio:g}; take levels within, or another spacing"
            )
    inside = (min(max(ratio, first.ratio), last.ratio) for ratio in ratios)
    return tuple(schedule.level(-2 * math.log(ratio)) for ratio in inside)
