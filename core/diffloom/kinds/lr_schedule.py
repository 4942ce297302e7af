"""Kind `lr_schedule`: how the learning rate goes over a run."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pydantic import NonNegativeInt

from diffloom.kinds.component import Component


class LRSchedule(Component):
    """The learning rate over a run, as a share of `train.lr`. It counts optimiser steps, however a step is split."""

    kind: ClassVar[str] = "lr_schedule"
    open_ended: ClassVar[bool] = False
    """Whether it is the same for a run of any length, so that a resumed run may be made longer."""

    warmup_steps: NonNegativeInt = 0
    """Optimiser steps over which the rate climbs linearly from 0."""

    def factor(self, step: int, *, steps: int) -> float:
        """The share of `train.lr` at optimiser step `step` of `steps`, both counted from 1: the warm-up's times the
        shape's."""
        warm = min(1.0, step / self.warmup_steps) if self.warmup_steps else 1.0
        return warm * self.shape(step, steps=steps)

    @abstractmethod
    def shape(self, step: int, *, steps: int) -> float:
        """The share without the warm-up, in [0, 1]."""

    def check(self, *, steps: int) -> None:
        """Raises ValueError for a run of a length that the schedule is not made for."""

    def progress(self, step: int, *, steps: int) -> float:
        """How much of the run after the warm-up is behind before optimiser step `step`: 0 at its first step and
        short of 1 at its last, so that a rate that falls to 0 wastes no step."""
        return max(0, step - 1 - self.warmup_steps) / max(1, steps - self.warmup_steps)
