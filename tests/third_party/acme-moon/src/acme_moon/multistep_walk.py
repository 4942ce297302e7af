"""DPM-Solver++(2M). Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper


class MultistepWalk(Stepper):
    """Lu et al. 2022 (DPM-Solver++), algorithm 2, with lambda = log(alpha/sigma).

    The first step, and the last, which ends at lambda = ∞, are of first order. Takes no noise.
    """

    def begin(self, course: Course) -> Move:
        """The step. Raises ValueError for a level without signal."""
        if course.levels[0].alpha == 0:
            raise ValueError("dpmpp_2m needs some signal at its first level: choose another schedule")
        strides = tuple(pairwise(course.levels))
        before: tuple[Level, Tensor] | None = None

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            nonlocal before
            level, next_level = strides[index]
            denoised = course.denoise(x_BCHW, level)
            estimate_BCHW = denoised.x0_BCHW
            if before is not None and not next_level.is_clean:
                rise = next_level.half_log_snr - level.half_log_snr
                r = (level.half_log_snr - before[0].half_log_snr) / rise
                estimate_BCHW = estimate_BCHW + (estimate_BCHW - before[1]) / (2 * r)  # D_i of algorithm 2
            before = (level, denoised.x0_BCHW)
            ratio = next_level.sigma / level.sigma
            # −alpha_i·(e^−h − 1) is alpha_i − alpha_{i−1}·sigma_i/sigma_{i−1}, which is finite where h is not.
            return denoised, ratio * x_BCHW + (next_level.alpha - level.alpha * ratio) * estimate_BCHW

        return move
