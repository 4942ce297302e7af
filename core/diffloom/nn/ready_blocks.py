"""The forms in which convolutional blocks draw samples: the same results to rounding, with less work and memory.

Legend: B batch, I channels in, O channels out, H height, W width, E numbers that the embedding gives each channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn.block import Block
from diffloom.nn.folding import doubled, doubling, folding_pays
from diffloom.nn.ready_conv import ready_conv
from diffloom.nn.signal import NO_SIGNAL, Signal

if TYPE_CHECKING:
    from diffloom.nn.resample import Downsample, Upsample
    from diffloom.nn.residual import ResidualBlock


class ReadyUpsample(Block):
    """`Upsample` as one layer."""

    def __init__(self, plain: Upsample) -> None:
        super().__init__()
        self.conv = doubling(plain.conv)

    def forward(self, x_BIHW: Tensor, signal: Signal = NO_SIGNAL) -> Tensor:
        """(B, C, H, W) → (B, C, 2·H, 2·W)."""
        out_BOHW: Tensor = self.conv(x_BIHW)
        return out_BOHW


class ReadyDownsample(Block):
    """`Downsample` with its convolution ready."""

    def __init__(self, plain: Downsample) -> None:
        super().__init__()
        self.edges = plain.edges
        self.conv = ready_conv(plain.conv)

    def forward(self, x_BIHW: Tensor, signal: Signal = NO_SIGNAL) -> Tensor:
        """(B, C, H, W) → (B, C, H/2, W/2)."""
        out_BOHW: Tensor = self.conv(functional.pad(x_BIHW, self.edges))
        return out_BOHW


class ReadyResidualBlock(Block):
    """`ResidualBlock`: activations in the convolutions, the embedding in their bias, the shortcut in their result.

    Takes from `signal` what was made of the embedding beforehand.
    """

    def __init__(self, plain: ResidualBlock) -> None:
        super().__init__()
        self.norm1, self.emb, self.norm2 = plain.norm1, plain.emb, plain.norm2
        self.resize = plain.resize
        self.conv1: nn.Module = (
            ready_conv(plain.conv1) if plain.resize is None else _ResizedConv2d(plain.conv1, plain.resize)
        )
        self.conv2 = ready_conv(plain.conv2)
        self.shortcut = ready_conv(plain.shortcut) if isinstance(plain.shortcut, nn.Conv2d) else None

    def __call__(self, x_BIHW: Tensor, signal: Signal) -> Any:
        return super().__call__(x_BIHW, signal.of(self))

    def forward(self, x_BIHW: Tensor, signal: Signal) -> Tensor:
        """(B, I, H, W) → (B, O, H, W), or what `resize` makes of height and width."""
        emb_BE = signal.projected(self.emb)
        h_BOHW = self.embedded(self.norm1(x_BIHW), emb_BE)
        if self.resize is not None:
            x_BIHW = self.resize(x_BIHW)
        beside_BOHW = x_BIHW if self.shortcut is None else self.shortcut(x_BIHW)
        out_BOHW: Tensor = self.conv2(h_BOHW, silu=True, plus_BOHW=beside_BOHW)
        return out_BOHW

    def embedded(self, h_BIHW: Tensor, emb_BE: Tensor) -> Tensor:
        """The fresh h, activated, convolved and normalised with the embedding in it."""
        out_BOHW: Tensor = self.norm2(self.conv1(h_BIHW, silu=True, shift_BO=emb_BE))
        return out_BOHW


class ReadyScaleShiftResidualBlock(ReadyResidualBlock):
    """`ScaleShiftResidualBlock`, whose scale and shift are applied in the memory of the normalisation."""

    def embedded(self, h_BIHW: Tensor, emb_BE: Tensor) -> Tensor:
        scale_BO11, shift_BO11 = emb_BE[:, :, None, None].chunk(2, dim=1)
        h_BOHW: Tensor = self.norm2(self.conv1(h_BIHW, silu=True))
        if torch.is_grad_enabled():
            return h_BOHW * (1 + scale_BO11) + shift_BO11
        return h_BOHW.mul_(1 + scale_BO11).add_(shift_BO11)


class _ResizedConv2d(nn.Module):
    """An activation, a resize and the convolution behind it, called as a `ReadyConv2d` is."""

    def __init__(self, conv: nn.Conv2d, resize: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        folds = resize is doubled and folding_pays(conv)
        self.resize = None if folds else resize
        self.conv: nn.Module = doubling(conv) if folds else ready_conv(conv)

    def forward(self, h_BIHW: Tensor, *, silu: bool, shift_BO: Tensor | None = None) -> Tensor:
        h_BIHW = functional.silu(h_BIHW, inplace=silu and not torch.is_grad_enabled())
        out_BOHW: Tensor = self.conv(h_BIHW if self.resize is None else self.resize(h_BIHW))
        return out_BOHW if shift_BO is None else out_BOHW + shift_BO[:, :, None, None]
