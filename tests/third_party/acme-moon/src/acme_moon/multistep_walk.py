"""DPM-Solver++(2M). Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from diffloom.kinds import ReverseVariance
from diffloom.process import Denoised, Level, Step


class MultistepWalk:
    """Lu et al. 2022 (DPM-Solver++), algorithm 2, with lambda = log(alpha/sigma).

    The first step, and the last, which ends at lambda = ∞, are of first order. Takes no noise.
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
        """Walk from `levels[0]` to the clean level. Raises ValueError for a level without signal."""
        if levels[0].alpha == 0:
            raise ValueError("dpmpp_2m needs some signal at its first level: choose another schedule")
        before: tuple[Level, Tensor] | None = None
        for index, (level, next_level) in enumerate(pairwise(levels)):
            x0_BCHW = denoise(x_BCHW, level).x0_BCHW
            estimate_BCHW = x0_BCHW
            if before is not None and not next_level.is_clean:
                r = _log_ratio(before[0], level) / _log_ratio(level, next_level)
                estimate_BCHW = x0_BCHW + (x0_BCHW - before[1]) / (2 * r)  # D_i of algorithm 2
            ratio = next_level.sigma / level.sigma
            # −alpha_i·(e^−h − 1) is alpha_i − alpha_{i−1}·sigma_i/sigma_{i−1}, which is finite where h is not.
            following_BCHW = ratio * x_BCHW + (next_level.alpha - level.alpha * ratio) * estimate_BCHW
            yield Step(
                index=index,
                level=level,
                next_level=next_level,
                x_t_BCHW=x_BCHW,
                x0_BCHW=x0_BCHW,
                following_BCHW=following_BCHW,
            )
            before, x_BCHW = (level, x0_BCHW), following_BCHW


def _log_ratio(earlier: Level, later: Level) -> float:
    """h: how far lambda rises from one level to the next."""
    return math.log(later.alpha / later.sigma) - math.log(earlier.alpha / earlier.sigma)
