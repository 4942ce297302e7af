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
        scalings = [self._scalings(level) for level, _ in strides]

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            level, next_level = strides[index]
            denoised = course.denoise(x_BCHW, level)
            c_skip, c_out = scalings[index]
            skip, out = c_skip * next_level.alpha, c_out * next_level.alpha
            # Luo et al. 2023, section 4.1: c_out·x₀ + c_skip·x_t is the answer
            answer = denoised.terms(x0=out + skip * level.alpha, eps=skip * level.sigma)
            if next_level.is_clean:
                return denoised, summed(answer)
            return denoised, summed((*answer, (next_level.sigma, course.noise(index))))

        return move

    def _scalings(self, level: Level) -> tuple[float, float]:
        """c_skip and c_out."""
        if self.boundary is None:
            return 0.0, 1.0
        require_times_from_1([level.t])
        time = self.boundary * level.t
        return SIGMA_DATA**2 / (time**2 + SIGMA_DATA**2), time / math.hypot(time, SIGMA_DATA)
