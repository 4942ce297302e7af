"""Dynamic thresholding. Legend: B batch, N pixels of all channels."""

from __future__ import annotations

import math

from torch import Tensor

from diffloom.process import Denoised, Level


class DynamicThreshold:
    """x₀ clamped to ±s and divided by s/limit, s a percentile of its own values (Saharia et al. 2022, section 2.3).

    Each sample has its own s, which is at least `limit`: a sample within ±`limit` stays as it is. Unlike clipping it
    brings saturated pixels inwards. diffusers bounds s by its `sample_max_value`, which by default makes this plain
    clipping.
    """

    def __init__(self, *, percentile: float, limit: float) -> None:
        self.percentile = percentile
        self.limit = limit

    def __call__(self, x_t_BCHW: Tensor, level: Level, guided: Denoised, plain: Denoised) -> Tensor:
        """The thresholded x₀."""
        x0_BN = guided.x0_BCHW.flatten(1)
        s_B1 = _quantile(x0_BN.abs(), self.percentile / 100).clamp(min=self.limit)
        return (x0_BN.clamp(-s_B1, s_B1) / s_B1 * self.limit).view_as(guided.x0_BCHW)


def _quantile(values_BN: Tensor, share: float) -> Tensor:
    """The quantile of each row, (B, 1), between two values in proportion; torch's own refuses large pictures."""
    place = share * (values_BN.shape[1] - 1)
    below, above = (
        values_BN.kthvalue(int(k) + 1, keepdim=True).values for k in (math.floor(place), math.ceil(place))
    )
    return below + (place - math.floor(place)) * (above - below)
