"""The parts of Rombach et al.'s autoencoders (2022). Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn import Block, Signal, zeroed
from diffloom_autoencoder.extent import WHOLE, Extent

NORM_EPS = 1e-6
"""Added to the variances that normalisations divide by."""


class Convolution(nn.Conv2d):
    """A convolution called as blocks are: it keeps height and width, or with `stride` divides them."""

    def __init__(
        self, in_channels: int, out_channels: int, *, pixels: int = 3, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, pixels, stride=stride, padding=pixels // 2, bias=bias)

    def forward(self, x_BCHW: Tensor, signal: Signal = WHOLE) -> Tensor:
        return super().forward(x_BCHW)


class PlainResidualBlock(Block):
    """Two normalised convolutions beside a shortcut: (B, in_channels, H, W) → (B, out_channels, H, W).

    The residual block of Ho et al. 2020 where there is no time to embed.
    """

    def __init__(self, *, in_channels: int, out_channels: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(norm_groups, in_channels, eps=NORM_EPS)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(norm_groups, out_channels, eps=NORM_EPS)
        self.conv2 = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        h_BCHW = self.conv1(functional.silu(extent.normalise(self.norm1, x_BCHW)))
        h_BCHW = self.conv2(functional.silu(extent.normalise(self.norm2, h_BCHW)))
        out_BCHW: Tensor = self.shortcut(x_BCHW) + h_BCHW
        return out_BCHW


class Head(Block):
    """A normalised convolution, where a network ends: (B, in_channels, H, W) → (B, out_channels, H, W)."""

    def __init__(self, *, in_channels: int, out_channels: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(norm_groups, in_channels, eps=NORM_EPS)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        out_BCHW: Tensor = self.conv(functional.silu(extent.normalise(self.norm, x_BCHW)))
        return out_BCHW
