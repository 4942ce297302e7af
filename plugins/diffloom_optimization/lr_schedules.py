"""Learning-rate schedules."""

from __future__ import annotations

from diffloom.kinds import LRSchedule


class Constant(LRSchedule):
    """The same rate all along, after the warm-up."""

    name = "constant"
    open_ended = True

    def shape(self, step: int, *, steps: int) -> float:
        return 1.0
