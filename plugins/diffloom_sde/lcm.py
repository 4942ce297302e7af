"""Sampling of consistency models in several steps. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper, summed
from diffloom_sde.samplers import require_times_from_1

SIGMA_DATA = 0.5
"""Of the boundary scalings, in the code of Luo et al. 2023."""


class LCM(Stepper):
    """Each step takes the network's x₀ for the answer and noises it afresh to the next level.

    Song et al. 2023, algorithm 1, for latent consistency models (Luo et al. 2023, algorithm 3). The models are trained
    to say at once where the probability flow ends; any other draws each step's own guess.
    """

    def __init__(self, *, boundary: float | None = None) -> None:
        """`boundary` scales time in the paper's c_skip and c_out, 10 in its code; None takes x₀ as it is."""
        self.boundary = boundary

    def begin(self, course: Course) -> Move:
        """The step. Raises ValueError where boundary scalings would hand x_t back as the answer."""
        strides = tuple(pairwise(course.levels))
        answers = [self._answer(*stride) for stride in strides]

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            level, next_level = strides[index]
            denoised = course.denoise(x_BCHW, level)
            x0, eps = answers[index]
            answer = denoised.terms(x0=x0, eps=eps)
            if next_level.is_clean:
                return denoised, summed(answer)
            return denoised, summed((*answer, (next_level.sigma, course.noise(index))))

        return move

    def _answer(self, level: Level, next_level: Level) -> tuple[float, float]:
        """What x₀ and ε count at the next level in c_out·x₀ + c_skip·x_t, the answer (Luo et al. 2023, section 4.1)."""
        c_skip, c_out = self._scalings(level)
        skip, out = c_skip * next_level.alpha, c_out * next_level.alpha
        return out + skip * level.alpha, skip * level.sigma

    def _scalings(self, level: Level) -> tuple[float, float]:
        """c_skip and c_out."""
        if self.boundary is None:
            return 0.0, 1.0
        require_times_from_1([level.t])
        time = self.boundary * level.t
        return SIGMA_DATA**2 / (time**2 + SIGMA_DATA**2), time / math.hypot(time, SIGMA_DATA)
