"""The skeleton of a sampler: the walk is the same for all, the step is the algorithm.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

from torch import Tensor

from diffloom.process.ahead import drawn_ahead
from diffloom.process.denoised import Denoised
from diffloom.process.types import Course, Step

Move: TypeAlias = Callable[[Tensor, int], tuple[Denoised, Tensor]]
"""(x_BCHW, index) → what the network said of x at levels[index], and where the step to levels[index + 1] arrives."""


class Stepper(ABC):
    """A sampler that takes one step for each level but the last.

    A subclass computes what is constant in `begin`, in float64, and returns its step: a function of where it stands,
    and of what it remembers of this walk. It asks for mixtures of x₀ and ε (`Denoised.combined`, `summed`) and reads
    neither, unless it needs one by itself. No step of ours reads a value, which would wait for a GPU; only the adaptive
    walks do, `ode` for the size of its steps, inversion to know when it is there. See `diffloom.kinds.Walk`.
    """

    @abstractmethod
    def begin(self, course: Course) -> Move:
        """The step, ready for one walk. Raises ValueError for levels that it cannot honour."""

    def __call__(self, x_BCHW: Tensor, course: Course) -> Iterator[Step]:
        """Walk x_BCHW down `course.levels`, a `Step` for each level but the last.

        Keyed noise is drawn a step ahead, while the network computes, and no longer once the walk ends or is left.
        """
        with drawn_ahead(course.noise, course.levels) as noise:
            move = self.begin(replace(course, noise=noise))
            for index, (level, next_level) in enumerate(pairwise(course.levels)):
                denoised, following = move(x_BCHW, index)
                yield Step(index, level, next_level, x_BCHW, denoised, following)
                x_BCHW = following
