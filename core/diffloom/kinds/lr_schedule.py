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
