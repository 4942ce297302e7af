"""The skeleton of multistep solvers of the reverse SDE. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper, Term, summed
from diffloom_sde.stride import Stride, kept_at_rate


class Planned(NamedTuple):
    """A step in constants."""

    stride: tuple[Level, Level]
    counts: tuple[float, float]
    """Of the step's own x₀ and ε."""
    weights: Sequence[float]
    """Of the x₀ 1, 2, … steps ago."""
    std: float
    """Of the noise."""


class Multistep(Stepper):
    """x_s = carry·x_t + gain·x₀ + Σ weight_j·(x₀ j steps ago − x₀) + s_noise·std·z.

    The noise z is the increment of the samples' Brownian paths, so that walks with other steps follow the same ones.
    """

    reach: int
    """How many predictions it looks back on."""

    def __init__(self, *, eta: float = 1.0, s_noise: float = 1.0) -> None:
        """`eta` ≥ 0 is the rate at which noise is renewed, 0 the probability flow; `s_noise` scales what is added."""
        self.eta = eta
        self.s_noise = s_noise

    @abstractmethod
    def correction(self, known: Sequence[float], next_level: Level) -> Sequence[float]:
        """The weights of the predictions 1, 2, … steps ago; `known` are their λ, the step's own first."""

    def begin(self, course: Course) -> Move:
        """The step; all coefficients are computed now."""
        levels = course.levels
        steps = [self._planned(levels, index) for index in range(len(levels) - 1)]
        past: deque[Denoised] = deque(maxlen=self.reach)  # the newest first

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            (level, next_level), (x0, eps), weights, std = steps[index]
            denoised = course.denoise(x_BCHW, level)
            terms: tuple[Term, ...] = denoised.terms(x0=x0, eps=eps)
            for weight, older in zip(weights, past, strict=False):
                terms += older.terms(x0=weight)
            past.appendleft(denoised)
            if std > 0:
                terms += ((std, course.noise.between(level, next_level)),)
            return denoised, summed(terms)

        return move

    def _planned(self, levels: Sequence[Level], index: int) -> Planned:
        """A step."""
        level, next_level = levels[index : index + 2]
        stride = Stride.between(level, next_level, kept=kept_at_rate(level, next_level, self.eta))
        weights = self._correction(levels, index)
        counts = stride.counts(level, less=math.fsum(weights))
        return Planned((level, next_level), counts, weights, self.s_noise * stride.std)

    def _correction(self, levels: Sequence[Level], index: int) -> Sequence[float]:
        """None in the first step and the last; pure noise has no λ, and what was said of it is not looked back on."""
        since = 0 if levels[0].alpha > 0 else 1
        back = min(index - since, self.reach)
        if back < 1 or levels[index + 1].is_clean:
            return ()
        return self.correction([levels[index - j].half_log_snr for j in range(back + 1)], levels[index + 1])
