"""Spacing `align_your_steps`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from diffloom.kinds import Spacing
from diffloom_spacings.indices import at_least_one
from diffloom_spacings.ratios import ratio_levels

if TYPE_CHECKING:
    from typing import Self

    from diffloom.kinds import NoiseSchedule
    from diffloom.process import Level

TABLES = {
    "sd15": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    "svd": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}
"""sigma/alpha at the ends of ten steps, as their authors published them; walks go from the last but one to clean."""


class AlignYourSteps(Spacing):
    """Levels that were optimised for one model (Sabour et al. 2024): ten; others by interpolating log sigma."""

    name = "align_your_steps"

    model: Literal["sd15", "sdxl", "svd"]
    """Which published table: that of Stable Diffusion 1.5, SDXL, or Stable Video Diffusion."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(model="sd15"), cls(model="sdxl"), cls(model="svd"))

    def levels(self, schedule: NoiseSchedule, *, steps: int) -> tuple[Level, ...]:
        """`steps` falling levels. Raises ValueError for a schedule that does not reach them."""
        at_least_one(steps)
        return ratio_levels(schedule, [self._ratio(i / steps) for i in range(steps)])

    def _ratio(self, share: float) -> float:
        """sigma/alpha at a share of the table, on lines through its logarithms."""
        table = TABLES[self.model]
        row, fraction = divmod(share * (len(table) - 1), 1)
        low, high = table[int(row)], table[int(row) + 1]
        return math.exp((1 - fraction) * math.log(low) + fraction * math.log(high))
