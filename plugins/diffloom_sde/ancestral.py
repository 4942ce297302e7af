"""The ancestral step: a draw of q(x_s | x_t, x₀). Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Posterior, perturbed


def drawn(
    x_BCHW: Tensor, denoised: Denoised, *, level: Level, next_level: Level, course: Course, index: int
) -> Tensor:
    """x_s with the model's own variance (Ho et al. 2020, algorithm 2, line 4); x₀, without noise, where s is clean.

    A classifier's gradient is taken at the mean (Dhariwal & Nichol 2021, algorithm 1).
    """
    if next_level.is_clean:
        return denoised.x0_BCHW
    std, posterior = course.variance.std(level, next_level, denoised), Posterior.between(level, next_level)
    if denoised.tilt is None:
        of_x0, of_eps = posterior.x0 + posterior.x_t * level.alpha, posterior.x_t * level.sigma
        mean = denoised.combined(x0=of_x0, eps=of_eps)
    else:
        mean = posterior.mean(x_BCHW, denoised.tilt.x0_BCHW)
        mean = mean + std**2 * denoised.tilt.gradient(mean, next_level)
    return perturbed(mean, std, course.noise, index)
