"""Halving and doubling a picture's height and width. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn.block import Block
from diffloom.nn.folding import doubled, folding_pays, is_plain_conv
from diffloom.nn.ready_blocks import ReadyDownsample, ReadyUpsample
from diffloom.nn.signal import NO_SIGNAL, Signal
from diffloom.nn.trained_doubling import convolved_doubled, trains_folded


def halved(x_BCHW: Tensor) -> Tensor:
    """Each square of four pixels as its mean: (B, C, H, W) → (B, C, H/2, W/2)."""
    return functional.avg_pool2d(x_BCHW, 2)


Padding = Literal["asymmetric", "symmetric"]


class Downsample(Block):
    """A 3×3 convolution of stride 2: (B, C, H, W) → (B, C, H/2, W/2).

    "asymmetric" pads a zero row and column at the bottom and right only, as Ho et al. 2020 do (TensorFlow's
    "SAME"); "symmetric" pads all four sides, as PyTorch codes mostly do. Weights trained with one do not
    fit the other: the picture would move by a pixel at every level.
    """

    def __init__(self, *, channels: int, padding: Padding = "asymmetric") -> None:
        super().__init__()
        self.edges = (0, 1, 0, 1) if padding == "asymmetric" else (1, 1, 1, 1)  # left, right, top, bottom
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x_BCHW: Tensor, signal: Signal = NO_SIGNAL) -> Tensor:
        out_BCHW: Tensor = self.conv(functional.pad(x_BCHW, self.edges))
        return out_BCHW

    def for_inference(self) -> nn.Module:
        """The same block for samples."""
        return ReadyDownsample(self) if type(self) is Downsample and is_plain_conv(self.conv) else self


class Upsample(Block):
    """Every pixel doubled, then a 3×3 convolution: (B, C, H, W) → (B, C, 2·H, 2·W)."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor, signal: Signal = NO_SIGNAL) -> Tensor:
        if trains_folded(self.conv, x_BCHW):
            return convolved_doubled(x_BCHW, self.conv)
        out_BCHW: Tensor = self.conv(doubled(x_BCHW))
        return out_BCHW

    def for_inference(self) -> nn.Module:
        """The same block for samples."""
        return ReadyUpsample(self) if type(self) is Upsample and folding_pays(self.conv) else self
