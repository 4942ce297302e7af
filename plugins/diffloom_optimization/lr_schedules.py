"""Learning-rate schedules. All count optimiser steps, from 1."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt

from diffloom.kinds import LRSchedule

Share = Annotated[float, Field(ge=0, le=1)]


class Constant(LRSchedule):
    """The same rate all along, after the warm-up."""

    name = "constant"
    equation = "lr"
    open_ended = True

    def shape(self, step: int, *, steps: int) -> float:
        return 1.0


class Linear(LRSchedule):
    """A straight line down, from the end of the warm-up to the end of the run."""

    name = "linear"
    equation = "lr·(1 − (1 − {floor})·s), s the share of the run after the warm-up"

    floor: Share = 0.0
    """The share of the highest rate that the run ends at."""

    def shape(self, step: int, *, steps: int) -> float:
        return 1 - (1 - self.floor) * self.progress(step, steps=steps)


class Cosine(LRSchedule):
    """Half a wave of the cosine down, from the end of the warm-up to the end of the run (Loshchilov & Hutter 2017)."""

    name = "cosine"
    equation = "lr·({floor} + (1 − {floor})·(1 + cos πs)/2), s the share of the run after the warm-up"

    floor: Share = 0.0
    """The share of the highest rate that the run ends at."""

    def shape(self, step: int, *, steps: int) -> float:
        fallen = (1 + math.cos(math.pi * self.progress(step, steps=steps))) / 2  # eq. 5
        return self.floor + (1 - self.floor) * fallen


class InverseSqrt(LRSchedule):
    """Constant at first, then falling as 1/√step (Karras et al. 2024): a run of any length."""

    name = "inverse_sqrt"
    equation = "lr/√max(step/{reference_steps}, 1)"
    open_ended = True

    reference_steps: PositiveInt = 10_000
    """Optimiser steps after which the rate begins to fall."""

    def shape(self, step: int, *, steps: int) -> float:
        return 1 / math.sqrt(max(step / self.reference_steps, 1))


class Steps(LRSchedule):
    """Constant between milestones, and smaller by a factor after each."""

    name = "step"
    equation = "lr·{drop}^(how many of {milestones} are past)"
    open_ended = True

    milestones: tuple[PositiveInt, ...]
    """Optimiser steps after which the rate drops."""
    drop: Share = 0.1
    """What the rate is multiplied by at each milestone."""

    def shape(self, step: int, *, steps: int) -> float:
        return float(self.drop ** sum(milestone < step for milestone in self.milestones))

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Steps]:
        return cls(milestones=(3, 10)), cls(milestones=(), drop=0.5)


class Trapezoid(LRSchedule):
    """Warm-up, a plateau, and a straight line down in the last steps: warm-up, stable, decay."""

    name = "trapezoid"
    equation = "lr, and in the last {decay_steps} steps a straight line to {floor} of it"

    decay_steps: PositiveInt
    """Optimiser steps at the end of the run over which the rate falls."""
    floor: Share = 0.0
    """The share of the highest rate that the run ends at."""

    def shape(self, step: int, *, steps: int) -> float:
        return self.floor + (1 - self.floor) * min(1.0, (steps - step + 1) / self.decay_steps)

    def check(self, *, steps: int) -> None:
        if self.warmup_steps + self.decay_steps > steps:
            raise ValueError(
                f"{self.warmup_steps} steps of warm-up and {self.decay_steps} of decay do not fit a run of {steps}; "
                "make them fewer, or set train.steps higher"
            )

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Trapezoid]:
        return cls(decay_steps=5), cls(decay_steps=50, floor=0.1, warmup_steps=10)
