"""The skeleton of a sampler that remembers: what is kept differs, and what it weighs.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper, Term, summed

FEW = 15
"""Levels up to which `lower_order_final` has an effect: fewer than 15 steps (the DPM-Solver++ authors' code)."""


class Multistep(Stepper):
    """x_s = alpha_s·x₀ + sigma_s·ε + Σ weight_j·(remembered_j − remembered_0).

    The first two terms are the first-order step, exact while x₀ (and with it ε) stays as it is, from any level to any
    other: from one without signal, and into the clean one. The rest mends it by how the prediction has been
    changing. The terms are summed as they come, each what it counts in all: a pass over memory for each.
    """

    remembers: Literal["x0", "eps"]
    """What is kept of each prediction."""

    @abstractmethod
    def weights(self, course: Course, index: int) -> Sequence[float]:
        """The weights, in step `index`, of the predictions 1, 2, … steps ago; the step's own is what they leave."""

    def begin(self, course: Course) -> Move:
        """The step; all weights are computed now."""
        levels = course.levels
        table = [self.weights(course, index) for index in range(len(levels) - 1)]
        steps = [
            (level, self._newest(following, weights), weights)
            for (level, following), weights in zip(pairwise(levels), table, strict=True)
        ]
        kept_x0, kept_eps = (1.0, 0.0) if self.remembers == "x0" else (0.0, 1.0)
        past: deque[list[Term]] = deque(maxlen=max(map(len, table)))  # the newest first

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            level, (x0, eps), weights = steps[index]
            denoised = course.denoise(x_BCHW, level)
            terms: tuple[Term, ...] = denoised.terms(x0=x0, eps=eps)
            for weight, older in zip(weights, past, strict=False):
                for count, tensor in older:
                    terms += ((weight * count, tensor),)
            kept = denoised.terms(x0=kept_x0, eps=kept_eps)
            past.appendleft([term for term in kept if term[0] != 0.0])  # who counts nothing is not held
            return denoised, summed(terms)

        return move

    def _newest(self, next_level: Level, weights: Sequence[float]) -> tuple[float, float]:
        """What the step's own x₀ and ε count, once all that is weighed against them is taken off."""
        x0, eps = next_level.alpha, next_level.sigma
        less = math.fsum(weights)
        return (x0 - less, eps) if self.remembers == "x0" else (x0, eps - less)


def order_at(
    levels: Sequence[Level], index: int, *, highest: int, since: int = 0, low_end: bool = False
) -> int:
    """The order of a step: one more than the predictions it looks back on.

    It rises from 1 while there is little to remember: predictions count from levels[since] on. With `low_end` it falls
    again to 1 in the last step, as few steps want it: there the polynomial would reach far beyond what it knows.
    """
    known = index - since + 1
    left = len(levels) - 1 - index
    return max(1, min(highest, known, left if low_end else highest))


def first_with_signal(levels: Sequence[Level]) -> int:
    """0, or 1 where the walk starts from pure noise: that level has no place on an axis of sigma/alpha."""
    return 0 if levels[0].alpha > 0 else 1
