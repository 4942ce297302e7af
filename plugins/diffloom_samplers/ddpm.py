"""DDPM: ancestral sampling. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from diffloom.kinds import ReverseVariance
from diffloom.process import Denoised, Level, Posterior, Step, perturbed


class DDPM:
    """Ancestral sampling (Ho et al. 2020, algorithm 2); a stride over many times is one step of a larger β.

    Each step draws from the posterior q(x_s | x_t, x₀) at the predicted x₀, with the model's own `variance`.
    No noise goes into the clean level. diffusers adds some there, √β for fixed_large, when its grid does not
    end at time 0.
    """

    def __call__(
        self,
        x_BCHW: Tensor,
        levels: Sequence[Level],
        denoise: Callable[[Tensor, Level], Denoised],
        *,
        noise: Callable[[int], Tensor],
        variance: ReverseVariance,
    ) -> Iterator[Step]:
        """Walk x_BCHW down to the clean `levels[-1]`; see `diffloom.kinds.Walk`."""
        posteriors = [Posterior.between(*pair) for pair in pairwise(levels)]
        for index, (level, next_level) in enumerate(pairwise(levels)):
            denoised = denoise(x_BCHW, level)
            mean = posteriors[index].mean(x_BCHW, denoised.x0_BCHW)  # eq. 7
            std = variance.std(level, next_level, denoised)
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
