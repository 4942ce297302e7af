"""The parts of the tiny autoencoders. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn import Block, doubled
from diffloom_autoencoder.extent import WHOLE, Extent

NORM_GROUPS = 4
"""Groups of the middle's normalisation."""


class TinyBlock(Block):
    """Three convolutions beside the identity, rectified: (B, C, H, W) → the same shape.

    With `pooled`, four times as many channels, normalised over the whole picture, are added first: so colour and
    light of the whole reach every pixel.
    """

    def __init__(self, *, channels: int, pooled: bool = False) -> None:
        super().__init__()
        self.pool = Pool(channels=channels) if pooled else None
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3))

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        if self.pool is not None:
            x_BCHW = x_BCHW + self.pool(x_BCHW, extent)
        h_BCHW = functional.relu(self.conv2(functional.relu(self.conv1(x_BCHW))))
        return functional.relu(self.conv3(h_BCHW) + x_BCHW)


class Pool(nn.Module):
    """A pointwise network of 4·C channels around a normalisation: (B, C, H, W) → the same shape."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.norm = nn.GroupNorm(NORM_GROUPS, 4 * channels)
        self.narrow = nn.Conv2d(4 * channels, channels, 1, bias=False)

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        h_BCHW = functional.relu(extent.normalise(self.norm, self.widen(x_BCHW)))
        out_BCHW: Tensor = self.narrow(h_BCHW)
        return out_BCHW


class Rectified(nn.Module):
    """max(x, 0)."""

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        return functional.relu(x_BCHW)


class Doubled(nn.Module):
    """(B, C, H, W) → (B, C, 2·H, 2·W)."""

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        return doubled(x_BCHW)


class SoftClamp(nn.Module):
    """3·tanh(x / 3): latents beyond what the decoder learned from do it no harm."""

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        return torch.tanh(x_BCHW / 3) * 3


class ToUnit(nn.Module):
    """[-1, 1], where pictures are here, → [0, 1], where they are inside."""

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        return (x_BCHW + 1) / 2


class FromUnit(nn.Module):
    """[0, 1] → [-1, 1]."""

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        return x_BCHW * 2 - 1
