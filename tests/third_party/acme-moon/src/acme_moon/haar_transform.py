"""The transform. Legend: B batch, C picture channels, H height, W width, K = 4·C bands, h = H/2, w = W/2."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class HaarTransform(nn.Module):
    """Sums and differences over 2×2 pixels, halved so that lengths are kept (Haar 1910; Daubechies 1992, 10.1).

    Orthonormal, so white noise stays white, and what the schedule says of pixels holds for the bands.
    """

    def encode(self, images_BCHW: Tensor) -> Tensor:
        """The bands: means, then horizontal, vertical and diagonal detail, (B, 4·C, H/2, W/2)."""
        top, bottom = images_BCHW[..., 0::2, :], images_BCHW[..., 1::2, :]
        a, b, c, d = top[..., 0::2], top[..., 1::2], bottom[..., 0::2], bottom[..., 1::2]
        return torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], dim=1) / 2

    def decode(self, x_BKhw: Tensor) -> Tensor:
        """The picture again, (B, C, H, W): the matrix is symmetric, so it is its own inverse."""
        mean, across, down, diagonal = x_BKhw.chunk(4, dim=1)
        top = torch.stack([mean + across + down + diagonal, mean - across + down - diagonal], dim=-1)
        bottom = torch.stack([mean + across - down - diagonal, mean - across - down + diagonal], dim=-1)
        return torch.stack([top.flatten(-2), bottom.flatten(-2)], dim=-2).flatten(-3, -2) / 2
