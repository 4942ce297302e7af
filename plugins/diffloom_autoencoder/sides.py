"""Encoder and decoder of Rombach et al. 2022 (appendix G.1), after Esser et al. 2021."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from torch import nn

from diffloom.nn import AttentionKernel, SelfAttention
from diffloom_autoencoder.blocks import NORM_EPS, Convolution, Doubling, Halving, Head, PlainResidualBlock
from diffloom_autoencoder.stage import Side, Stage


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What both sides have in common."""

    image_channels: int
    latent_channels: int
    channels: tuple[int, ...]
    """Width of each level, from the finest to the coarsest; each halves height and width."""
    blocks_per_level: int
    """Residual blocks of a level of the encoder; the decoder's have one more."""
    attention_levels: Collection[int]
    """Levels, 0 the finest, with attention behind every block."""
    norm_groups: int
    quant_convs: bool
    """Whether a pointwise convolution stands on each side of the latents."""
    kernel: AttentionKernel

    @property
    def coarsest(self) -> int:
        """The last level's index."""
        return len(self.channels) - 1

    def block(self, in_channels: int, out_channels: int) -> nn.Module:
        """A residual block."""
        return PlainResidualBlock(
            in_channels=in_channels, out_channels=out_channels, norm_groups=self.norm_groups
        )

    def attention(self, channels: int) -> nn.Module:
        """One head of all channels."""
        return SelfAttention(
            channels=channels, norm_groups=self.norm_groups, norm_eps=NORM_EPS, kernel=self.kernel
        )

    def level(self, level: int, *, start: int, blocks: int) -> list[nn.Module]:
        """Blocks of one level, each with attention behind it where the level attends."""
        width, parts = self.channels[level], list[nn.Module]()
        for index in range(blocks):
            parts.append(self.block(width if index else start, width))
            if level in self.attention_levels:
                parts.append(self.attention(width))
        return parts

    def middle(self) -> list[nn.Module]:
        """Between the ways down and up, the pixels of the coarsest level always attend."""
        width = self.channels[-1]
        return [self.block(width, width), self.attention(width), self.block(width, width)]

    def head(self, in_channels: int, out_channels: int) -> nn.Module:
        """The end of a side."""
        return Head(in_channels=in_channels, out_channels=out_channels, norm_groups=self.norm_groups)


def encoder(shape: Shape, *, out_channels: int) -> Side:
    """Pictures → out_channels numbers for each place of the latents; a stage for each level."""
    enter = Convolution(shape.image_channels, shape.channels[0])
    stages = []
    for level, width in enumerate(shape.channels):
        start = shape.channels[max(level - 1, 0)]
        parts = shape.level(level, start=start, blocks=shape.blocks_per_level)
        if level == 0:
            parts.insert(0, enter)
        if level < shape.coarsest:
            stages.append(Stage(*parts, Halving(channels=width), scale=Fraction(1, 2)))
            continue
        parts += [*shape.middle(), shape.head(width, out_channels)]
        if shape.quant_convs:
            parts.append(Convolution(out_channels, out_channels, pixels=1))
        stages.append(Stage(*parts))
    return Side(*stages)


def decoder(shape: Shape) -> Side:
    """Latents → pictures; a stage for each level, the coarsest first."""
    width, latents = shape.channels[-1], shape.latent_channels
    parts: list[nn.Module] = [Convolution(latents, width), *shape.middle()]
    if shape.quant_convs:
        parts.insert(0, Convolution(latents, latents, pixels=1))
    stages = []
    for level in range(shape.coarsest, -1, -1):
        parts += shape.level(level, start=width, blocks=shape.blocks_per_level + 1)
        width = shape.channels[level]
        if level == 0:
            parts.append(shape.head(width, shape.image_channels))
        stages.append(Stage(*parts, scale=Fraction(1 if level == shape.coarsest else 2)))
        parts = [Doubling(channels=width)]
    return Side(*stages)
