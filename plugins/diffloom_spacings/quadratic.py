"""Spacing `quadratic`."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, NonNegativeInt

from diffloom.kinds import TimeAxis, TimeSpacing
from diffloom_spacings.indices import distinct, falling, falling_shares, room


class Quadratic(TimeSpacing):
    """Squares of evenly spaced numbers: more steps where it is clean (Song et al. 2021, DDIM, appendix D.2).

    latent-diffusion's `quad` is this with offset 1. Both cut squares off to whole times, and with many steps visit the
    first times twice; here the later goes one up.
    """

    name = "quadratic"

    reach: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Where the squares end, as a share of T."""
    offset: NonNegativeInt = 0
    """Added to the number of every time."""

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        """`steps` falling times. Raises ValueError when the offset pushes one off the schedule."""
        gaps = max(steps - 1, 1)
        if axis.count is None:
            if self.offset:
                raise ValueError(
                    f"offset {self.offset} counts times, and this schedule's are not counted; set offset: 0"
                )
            return falling_shares(axis, [self.reach * (i / gaps) ** 2 for i in range(steps)])
        length = room(axis, steps)
        root = math.sqrt(length * self.reach)
        rising = [int((i * (root / gaps)) ** 2) + self.offset for i in range(steps)]
        if self.offset and rising[-1] > length - 1:
            raise ValueError(
                f"quadratic with offset {self.offset} would start at time {rising[-1]}, and the schedule ends at "
                f"{length - 1}: take a smaller reach or offset"
            )
        return falling(axis, distinct(rising, length))
