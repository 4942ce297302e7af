"""Evenly spaced times (Lin et al. 2023, table 2), of 0 … T−1 rounded as diffusers does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import NonNegativeInt

from diffloom.kinds import TimeAxis, TimeSpacing
from diffloom_spacings.indices import falling, falling_shares, room

if TYPE_CHECKING:
    from typing import Self


class Leading(TimeSpacing):
    """Every (T // N)-th time from `offset` up: never the noisiest, T − 1, unless N is T.

    DDIM's own choice. latent-diffusion's `uniform` is this with offset 1. Of continuous times it takes N from the
    cleanest up, as far apart as N + 1 would be.
    """

    name = "leading"

    offset: NonNegativeInt = 0
    """Added to the number of every time."""
    endpoint: bool = True
    """Whether the cleanest time is visited; where not, one time more is spread and it is left out, as diffusers'
    DPM-Solver, DEIS, SA-Solver and UniPC do."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(offset=1, endpoint=False))

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        """`steps` falling times. Raises ValueError when the offset pushes one off the schedule."""
        if not self.endpoint:
            return self.model_copy(update={"endpoint": True}).times(axis=axis, steps=steps + 1)[:-1]
        if axis.count is None:
            if self.offset:
                raise ValueError(
                    f"offset {self.offset} counts times, and this schedule's are not counted; set offset: 0"
                )
            return falling_shares(axis, [i / steps for i in range(steps)])
        stride = room(axis, steps) // steps
        largest = (steps - 1) * stride + self.offset
        if largest > axis.count - 1:
            raise ValueError(
                f"leading with offset {self.offset} would start at time {largest}, and the schedule ends at "
                f"{axis.count - 1}: take fewer steps or a smaller offset"
            )
        return falling(axis, [stride * i + self.offset for i in range(steps)])


class Trailing(TimeSpacing):
    """Every (T/N)-th time from the noisiest, T − 1, down: what few-step samplers want.

    For 62 of the step counts up to 1000, 61 being the first, rounding gives diffusers one step too many, at
    time −1.
    """

    name = "trailing"

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        """`steps` falling times."""
        if axis.count is None:
            return falling_shares(axis, [i / steps for i in range(1, steps + 1)])
        length = room(axis, steps)
        # -T/N, rounded as numpy.arange rounds it: the ties of round() then fall as they do in diffusers
        stride = (length - length / steps) - length
        return falling(axis, [round(length + i * stride) - 1 for i in reversed(range(steps))])


class Linspace(TimeSpacing):
    """Evenly from the noisiest time, T − 1, to the cleanest, 0, both included."""

    name = "linspace"

    endpoint: bool = True
    """Whether the cleanest time is visited; where not, one time more is spread and it is left out, as diffusers'
    DPM-Solver, DEIS, SA-Solver and UniPC do."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(endpoint=False))

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        """`steps` falling times."""
        if not self.endpoint:
            return Linspace().times(axis=axis, steps=steps + 1)[:-1]
        gaps = max(steps - 1, 1)
        if axis.count is None:
            return falling_shares(axis, [i / gaps for i in range(steps)])
        stride = (room(axis, steps) - 1) / gaps
        return falling(axis, [round(i * stride) for i in range(steps)])
