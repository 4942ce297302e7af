"""The parts of Rombach et al.'s autoencoders (2022). Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn import Block, Downsample, Signal, Upsample, doubling, is_plain_conv, zeroed
from diffloom_autoencoder.extent import WHOLE, Extent
from diffloom_autoencoder.picture import Picture
from diffloom_autoencoder.strip_layers import (
    StripConv2d,
    activated,
    doubled,
    doubled_again,
    halved,
    layout_of,
)
from diffloom_autoencoder.strips import Filling, Remade, Strips

NORM_EPS = 1e-6
"""Added to the variances that normalisations divide by."""


class InOnePiece(nn.Module):
    """A part in which somebody has put a layer of their own, or told one to wrap the picture around: it is called as it
    is, and given its picture in one piece.
    """

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        out_BCHW: Tensor = self.part(x_BCHW, extent)
        return out_BCHW


class Convolution(nn.Conv2d):
    """A convolution called as blocks are: it keeps height and width, or with `stride` divides them."""

    def __init__(
        self, in_channels: int, out_channels: int, *, pixels: int = 3, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, pixels, stride=stride, padding=pixels // 2, bias=bias)

    def forward(self, x_BCHW: Tensor, signal: Signal = WHOLE) -> Tensor:
        return super().forward(x_BCHW)

    def for_inference(self) -> nn.Module:
        """The same, which can compute in strips."""
        if type(self) is not Convolution or self.padding_mode != "zeros":
            return InOnePiece(self)
        self.strips = StripConv2d(self)
        return self

    def in_strips(self, picture: Picture, *, lean: bool) -> Picture:
        """The same, strip by strip."""
        return picture.made(self.strips.of)


class Halving(Downsample):
    """A 3×3 convolution of stride 2: (B, C, H, W) → (B, C, H/2, W/2)."""

    def for_inference(self) -> nn.Module:
        """The same, which can compute in strips."""
        return self if is_plain_conv(self.conv) else InOnePiece(self)

    def in_strips(self, picture: Picture, *, lean: bool) -> Picture:
        """The same, strip by strip."""
        return picture.made(lambda part: halved(self.conv, part, edges=self.edges))


class Doubling(Upsample):
    """Every pixel doubled, then a 3×3 convolution: (B, C, H, W) → (B, C, 2·H, 2·W)."""

    def for_inference(self) -> nn.Module:
        """The two as one convolution."""
        return Folded(self.conv) if is_plain_conv(self.conv) else InOnePiece(self)


class Folded(Block):
    """The same from the smaller picture's pixels: 4/9 of the operations, and no doubled picture."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = doubling(conv)
        folded = self.conv.weight.detach().contiguous(memory_format=layout_of(conv.weight))
        self.conv.weight = nn.Parameter(folded, requires_grad=False)

    def forward(self, x_BCHW: Tensor, signal: Signal = WHOLE) -> Tensor:
        out_BCHW: Tensor = self.conv(x_BCHW)
        return out_BCHW

    def in_strips(self, picture: Picture, *, lean: bool) -> Picture:
        """The same, strip by strip."""
        if lean:
            return Picture(doubled_again(self.conv, part) for part in picture.parts)
        return picture.made(lambda part: doubled(self.conv, part))


class PlainResidualBlock(Block):
    """Two normalised convolutions beside a shortcut: (B, in_channels, H, W) → (B, out_channels, H, W).

    The residual block of Ho et al. 2020 where there is no time to embed.
    """

    def __init__(self, *, in_channels: int, out_channels: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(norm_groups, in_channels, eps=NORM_EPS)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(norm_groups, out_channels, eps=NORM_EPS)
        self.conv2 = zeroed(nn.Conv2d, out_channels, out_channels, 3, padding=1)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        h_BCHW = self.conv1(_silu(extent.normalise(self.norm1, x_BCHW)))
        h_BCHW = self.conv2(_silu(extent.normalise(self.norm2, h_BCHW)))
        out_BCHW: Tensor = self.shortcut(x_BCHW) + h_BCHW
        return out_BCHW

    def for_inference(self) -> nn.Module:
        """The same, which can compute in strips."""
        shortcuts = [self.shortcut] if type(self.shortcut) is not nn.Identity else []
        if not _are_own([self.norm1, self.norm2], [self.conv1, self.conv2, *shortcuts]):
            return InOnePiece(self)
        self.strips1, self.strips2 = StripConv2d(self.conv1), StripConv2d(self.conv2)
        self.beside = StripConv2d(self.shortcut) if isinstance(self.shortcut, nn.Conv2d) else None
        return self

    def in_strips(self, picture: Picture, *, lean: bool) -> Picture:
        """The same, strip by strip."""
        enter = activated(self.norm1, picture)
        if lean:
            return Picture(self._in_lean_strips(part, enter) for part in picture.parts)
        if self.beside is None:
            h = picture.kept().made(lambda part: self.strips1.of(part, enter))
        else:
            h, picture = self._with_beside(picture, enter, self.beside)
        leave = activated(self.norm2, h)
        return h.made(lambda part, plus: self.strips2.of(part, leave, plus=plus), picture)

    def _with_beside(self, picture: Picture, enter: Filling, beside: StripConv2d) -> tuple[Picture, Picture]:
        """Both at once: where channels become fewer, the two take the place of the picture that they are made of."""

        def both(part: Strips) -> tuple[Strips, Strips]:
            pairs = list(zip(self.strips1.of(part.kept(), enter), beside.of_pixels(part), strict=True))
            return Strips(h_BCRW for h_BCRW, _ in pairs), Strips(beside_BCRW for _, beside_BCRW in pairs)

        h_parts, beside_parts = zip(*picture.each(both), strict=True)
        return Picture(h_parts), Picture(beside_parts)

    def _in_lean_strips(self, picture: Strips, enter: Filling) -> Strips:
        """The same with one picture in memory, which the result replaces: the first convolution is computed once to
        measure what it gives, and again. Of a picture that is itself made anew, what it gives is that one picture.
        """
        h: Strips = self.strips1.again(picture, enter)
        if isinstance(picture, Remade):
            h = Strips(h)
        beside = picture if self.beside is None else self.beside.pixels_later(picture)
        return Strips(self.strips2.of(h, activated(self.norm2, Picture([h])), plus=beside))


class Head(Block):
    """A normalised convolution, where a network ends: (B, in_channels, H, W) → (B, out_channels, H, W)."""

    def __init__(self, *, in_channels: int, out_channels: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(norm_groups, in_channels, eps=NORM_EPS)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor, extent: Extent = WHOLE) -> Tensor:
        out_BCHW: Tensor = self.conv(_silu(extent.normalise(self.norm, x_BCHW)))
        return out_BCHW

    def for_inference(self) -> nn.Module:
        """The same, which can compute in strips."""
        if not _are_own([self.norm], [self.conv]):
            return InOnePiece(self)
        self.strips = StripConv2d(self.conv)
        return self

    def in_strips(self, picture: Picture, *, lean: bool) -> Picture:
        """The same, strip by strip."""
        enter = activated(self.norm, picture)
        return picture.made(lambda part: self.strips.of(part, enter))


def _are_own(norms: Sequence[nn.Module], convs: Sequence[nn.Module]) -> bool:
    """Whether they are the layers that a part began with."""
    return all(type(norm) is nn.GroupNorm for norm in norms) and all(map(is_plain_conv, convs))


def _silu(x_BCHW: Tensor) -> Tensor:
    """SiLU of what a normalisation has just made, in its place where no gradient asks for it."""
    return functional.silu(x_BCHW, inplace=not torch.is_grad_enabled())
