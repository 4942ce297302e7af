"""Mean and variance of group normalisations, put together from parts of a picture.

Legend: B batch, C channels, G groups, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Moments:
    """Mean and (biased) variance of every group of channels, in float32 at least."""

    count: int
    """Values in a group."""
    mean_BG: Tensor
    var_BG: Tensor

    @classmethod
    def of(cls, x_BCHW: Tensor, *, groups: int) -> Moments:
        """Measured."""
        x_BGN = x_BCHW.to(_exact(x_BCHW.dtype)).reshape(len(x_BCHW), groups, -1)
        var_BG, mean_BG = torch.var_mean(x_BGN, dim=2, correction=0)
        return cls(x_BGN.shape[2], mean_BG, var_BG)

    @classmethod
    def together(cls, parts: Sequence[Moments]) -> Moments:
        """Those of all parts: Σ nᵢ·(varᵢ + (meanᵢ − mean)²) / Σ nᵢ (Chan, Golub & LeVeque 1983)."""
        count = sum(part.count for part in parts)
        mean_BG = torch.stack([part.mean_BG * (part.count / count) for part in parts]).sum(0)
        spread = [(part.var_BG + (part.mean_BG - mean_BG) ** 2) * (part.count / count) for part in parts]
        return cls(count, mean_BG, torch.stack(spread).sum(0))

    def normalise(self, norm: nn.GroupNorm, x_BCHW: Tensor) -> Tensor:
        """What `norm` gives for x when these are the moments (Wu & He 2018, eqs. 1 and 6)."""
        dtype = self.mean_BG.dtype
        rstd_BG = torch.rsqrt(self.var_BG + norm.eps)
        width = norm.num_channels // norm.num_groups
        scale_BC = rstd_BG.repeat_interleave(width, dim=1) * norm.weight.to(dtype)
        shift_BC = norm.bias.to(dtype) - self.mean_BG.repeat_interleave(width, dim=1) * scale_BC
        out_BCHW = x_BCHW.to(dtype) * scale_BC[..., None, None] + shift_BC[..., None, None]
        return out_BCHW.to(x_BCHW.dtype)


def _exact(dtype: torch.dtype) -> torch.dtype:
    """Sums are not made in half precision."""
    return torch.promote_types(dtype, torch.float32)
