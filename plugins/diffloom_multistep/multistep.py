"""The skeleton of a sampler that remembers: what is kept differs, and what it weighs.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper

FEW = 15
"""Levels up to which `lower_order_final` has an effect: fewer than 15 steps (the DPM-Solver++ authors' code)."""


class Multistep(Stepper):
    """x_s = alpha_s·x₀ + sigma_s·ε + Σ weight_j·(remembered_j − remembered_0).

    The first two terms are the first-order step, exact while x₀ (and with it ε) stays as it is, from any level to any
    other: from one without signal, and into the clean one. The rest mends it by how the prediction has been
    changing. Written in differences, nothing cancels, and a prediction that never changes is followed exactly.
    """

    @abstractmethod
    def remembered(self, denoised: Denoised) -> Tensor:
        """What is kept of each prediction: x₀ or ε."""

    @abstractmethod
    def weights(self, course: Course, index: int) -> Sequence[float]:
        """The weights, in step `index`, of the predictions 1, 2, … steps ago; the step's own is what they leave."""

    def begin(self, course: Course) -> Move:
        """The step; all weights are computed now."""
        levels = course.levels
        table = [self.weights(course, index) for index in range(len(levels) - 1)]
        past: deque[Tensor] = deque(maxlen=max(map(len, table)))  # the newest first

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            next_level = levels[index + 1]
            denoised = course.denoise(x_BCHW, levels[index])
            newest = self.remembered(denoised)
            following = next_level.alpha * denoised.x0_BCHW + next_level.sigma * denoised.eps_BCHW
            for weight, older in zip(table[index], past, strict=False):
                following = following + weight * (older - newest)
            past.appendleft(newest)
            return denoised, following

        return move


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
