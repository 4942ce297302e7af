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
    def of_channels(cls, x_BCHW: Tensor) -> Moments:
        """Measured, every channel by itself: the fast way where pictures lie in memory pixel by pixel."""
        rows = torch.split(x_BCHW.to(_exact(x_BCHW.dtype)), 1)
        # What batch normalisation measures, of one picture at a time; torch has no faster way to both.
        measured = [torch.batch_norm_update_stats(row_1CHW, None, None, 0.0) for row_1CHW in rows]
        means, variances = zip(*measured, strict=True)
        return cls(x_BCHW[0, 0].numel(), torch.stack(means), torch.stack(variances))

    @classmethod
    def together(cls, parts: Sequence[Moments]) -> Moments:
        """Those of all parts: Σ nᵢ·(varᵢ + (meanᵢ − mean)²) / Σ nᵢ (Chan, Golub & LeVeque 1983)."""
        count = sum(part.count for part in parts)
        mean_BG = torch.stack([part.mean_BG * (part.count / count) for part in parts]).sum(0)
        spread = [(part.var_BG + (part.mean_BG - mean_BG) ** 2) * (part.count / count) for part in parts]
        return cls(count, mean_BG, torch.stack(spread).sum(0))

    def grouped(self, groups: int) -> Moments:
        """Those of groups of channels, of those of the channels."""
        mean_BGN, var_BGN = (x.view(len(x), groups, -1) for x in (self.mean_BG, self.var_BG))
        mean_BG = mean_BGN.mean(dim=2)
        var_BG = (var_BGN + (mean_BGN - mean_BG[..., None]) ** 2).mean(dim=2)
        return Moments(self.count * mean_BGN.shape[2], mean_BG, var_BG)

    def affine(self, norm: nn.GroupNorm) -> tuple[Tensor, Tensor]:
        """What `norm` multiplies by and then adds, (B, C, 1, 1) each, when these are the moments (Wu & He 2018, eqs. 1
        and 6).
        """
        dtype = self.mean_BG.dtype
        rstd_BG = torch.rsqrt(self.var_BG + norm.eps)
        width = norm.num_channels // norm.num_groups
        scale_BC = rstd_BG.repeat_interleave(width, dim=1) * norm.weight.to(dtype)
        shift_BC = norm.bias.to(dtype) - self.mean_BG.repeat_interleave(width, dim=1) * scale_BC
        return scale_BC[..., None, None], shift_BC[..., None, None]

    def normalise(self, norm: nn.GroupNorm, x_BCHW: Tensor) -> Tensor:
        """What `norm` gives for x when these are the moments."""
        scale_BC11, shift_BC11 = self.affine(norm)
        out_BCHW = x_BCHW.to(self.mean_BG.dtype) * scale_BC11 + shift_BC11
        return out_BCHW.to(x_BCHW.dtype)


def _exact(dtype: torch.dtype) -> torch.dtype:
    """Sums are not made in half precision."""
    return torch.promote_types(dtype, torch.float32)
