"""DDIM: DDPM's marginals with less noise, or none. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Posterior, Stepper, perturbed


class DDIM(Stepper):
    """Denoising diffusion implicit models (Song et al. 2020), eq. 12 and 16.

    x₀ and ε belong together (alpha·x₀ + sigma·ε = x_t), clipped or not, as in guided-diffusion and as the
    paper has it. diffusers by default keeps the ε of before clipping: to compare, call it with
    `use_clipped_model_output=True`. Each step goes to the next level of the grid. diffusers goes to time t −
    T // N, which is the next one only where the grid is evenly spaced.
    """

    def __init__(self, *, eta: float = 0.0) -> None:
        """`eta` in [0, 1]: 0 is deterministic, 1 adds as much noise as DDPM with the variance fixed_small."""
        if not 0.0 <= eta <= 1.0:
            raise ValueError(f"eta is between 0 and 1, not {eta}")
        self.eta = eta

    def begin(self, course: Course) -> Move:
        """The step; it ignores `course.variance`."""
        strides = tuple(pairwise(course.levels))
        coefficients = [self._coefficients(*stride) for stride in strides]

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            level, next_level = strides[index]
            denoised = course.denoise(x_BCHW, level)
            direction, std = coefficients[index]
            mean = next_level.alpha * denoised.x0_BCHW + direction * denoised.eps_BCHW  # eq. 12
            return denoised, perturbed(mean, std, course.noise, index)

        return move

    def _coefficients(self, level: Level, next_level: Level) -> tuple[float, float]:
        """How far to go along ε, and the std of the fresh noise; their squares add up to next sigma²."""
        spread = self.eta**2 * Posterior.between(level, next_level).variance  # eq. 16, squared
        return math.sqrt(next_level.sigma**2 - spread), math.sqrt(spread)
