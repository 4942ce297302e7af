"""DDPM: ancestral sampling. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Posterior, Stepper, Tilt, perturbed, summed


class DDPM(Stepper):
    """Ancestral sampling (Ho et al. 2020, algorithm 2); a stride over many times is one step of a larger β.

    Each step draws from the posterior q(x_s | x_t, x₀) at the predicted x₀, with the model's own `variance`.
    No noise goes into the clean level. diffusers adds some there, √β for fixed_large, when its grid does not
    end at time 0.
    """

    def begin(self, course: Course) -> Move:
        """The step."""
        strides = tuple(pairwise(course.levels))
        posteriors = [Posterior.between(*stride) for stride in strides]
        # eq. 7, with alpha_t·x₀ + sigma_t·ε for its x_t
        means = [
            (posterior.x0 + posterior.x_t * level.alpha, posterior.x_t * level.sigma)
            for posterior, (level, _) in zip(posteriors, strides, strict=True)
        ]

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            level, next_level = strides[index]
            denoised = course.denoise(x_BCHW, level)
            std = course.variance.std(level, next_level, denoised)
            if denoised.tilt is not None:
                mean = posteriors[index].mean(x_BCHW, denoised.tilt.x0_BCHW)
                mean = _tilted(mean, std, denoised.tilt, next_level)
                return denoised, perturbed(mean, std, course.noise, index)
            x0, eps = means[index]
            if isinstance(std, float) and std > 0:  # one sum: the mean need not exist by itself
                return denoised, summed((*denoised.terms(x0=x0, eps=eps), (std, course.noise(index))))
            return denoised, perturbed(denoised.combined(x0=x0, eps=eps), std, course.noise, index)

        return move


def _tilted(mean: Tensor, std: Tensor | float, tilt: Tilt, next_level: Level) -> Tensor:
    """μ + Σ·gradient(μ): a classifier's gradient at the mean of x_s (Dhariwal & Nichol 2021, algorithm 1)."""
    if isinstance(std, float) and std == 0.0:
        return mean
    return mean + std**2 * tilt.gradient(mean, next_level)
