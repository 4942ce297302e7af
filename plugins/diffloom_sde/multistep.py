"""The skeleton of multistep solvers of the reverse SDE. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper, summed
from diffloom_sde.stride import Stride, kept_at_rate


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
        strides = [Stride.between(*pair, kept=kept_at_rate(*pair, self.eta)) for pair in pairwise(levels)]
        corrections = [self._correction(levels, index) for index in range(len(strides))]
        past: deque[Denoised] = deque(maxlen=self.reach)  # the newest first

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            level, next_level = levels[index : index + 2]
            stride, denoised = strides[index], course.denoise(x_BCHW, level)
            weights = corrections[index]
            terms = [*denoised.terms(**stride.counts(level, less=math.fsum(weights)))]
            for weight, older in zip(weights, past, strict=False):
                terms += older.terms(x0=weight)
            past.appendleft(denoised)
            std = self.s_noise * stride.std
            if std > 0:
                terms.append((std, course.noise.between(level, next_level)))
            return denoised, summed(terms)

        return move

    def _correction(self, levels: Sequence[Level], index: int) -> Sequence[float]:
        """None in the first step and the last; pure noise has no λ, and what was said of it is not looked back on."""
        since = 0 if levels[0].alpha > 0 else 1
        back = min(index - since, self.reach)
        if back < 1 or levels[index + 1].is_clean:
            return ()
        return self.correction([levels[index - j].half_log_snr for j in range(back + 1)], levels[index + 1])
