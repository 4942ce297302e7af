"""Schedule `sigmoid`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import PositiveFloat, PositiveInt

from diffloom.kinds import Schedule, SpaceInfo, TimeAxis

if TYPE_CHECKING:
    from diffloom.process import TableSchedule


class Sigmoid(Schedule):
    """ᾱ falls as a sigmoid (Jabri et al. 2022; Chen 2023, section 2.2)."""

    name = "sigmoid"

    steps: PositiveInt = 1000
    """T: how many noise levels the model is trained on."""
    start: float = -3.0
    """Where on the sigmoid t = 0 lies."""
    end: float = 3.0
    """Where on the sigmoid t = 1 lies."""
    tau: PositiveFloat = 1.0
    """Temperature: below 1 the fall is steeper."""

    @property
    def axis(self) -> TimeAxis:
        """The indices of the table."""
        return TimeAxis.table(self.steps)

    def build(self, *, space: SpaceInfo | None = None) -> TableSchedule:
        """The table in float64. Raises ValueError when ᾱ does not fall: end must lie above start."""
        from diffloom.process import TableSchedule

        def sigmoid(t: float) -> float:
            return 1 / (1 + math.exp(-((self.end - self.start) * t + self.start) / self.tau))

        low, high = sigmoid(0.0), sigmoid(1.0)
        gamma = [(high - sigmoid((i + 1) / self.steps)) / (high - low) for i in range(self.steps)]
        return TableSchedule([max(value, 1e-9) for value in gamma])  # clipped as in Chen 2023, algorithm 1
