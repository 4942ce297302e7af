"""DDIM: DDPM's marginals with less noise, or none. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from diffloom.kinds import ReverseVariance
from diffloom.process import Denoised, Level, Posterior, Step, perturbed


class DDIM:
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

    def __call__(
        self,
        x_BCHW: Tensor,
        levels: Sequence[Level],
        denoise: Callable[[Tensor, Level], Denoised],
        *,
        noise: Callable[[int], Tensor],
        variance: ReverseVariance,
    ) -> Iterator[Step]:
        """Walk x_BCHW down to `levels[-1]`, clean or not; see `diffloom.kinds.Walk`. Ignores `variance`."""
        coefficients = [self._coefficients(*pair) for pair in pairwise(levels)]
        for index, (level, next_level) in enumerate(pairwise(levels)):
            denoised = denoise(x_BCHW, level)
            direction, std = coefficients[index]
            mean = next_level.alpha * denoised.x0_BCHW + direction * denoised.eps_BCHW  # eq. 12
            following = perturbed(mean, std, noise, index)
            yield Step(
                index=index,
                level=level,
                next_level=next_level,
                x_t_BCHW=x_BCHW,
                x0_BCHW=denoised.x0_BCHW,
                following_BCHW=following,
            )
            x_BCHW = following

    def _coefficients(self, level: Level, next_level: Level) -> tuple[float, float]:
        """How far to go along ε, and the std of the fresh noise; their squares add up to next sigma²."""
        spread = self.eta**2 * Posterior.between(level, next_level).variance  # eq. 16, squared
        return math.sqrt(next_level.sigma**2 - spread), math.sqrt(spread)
