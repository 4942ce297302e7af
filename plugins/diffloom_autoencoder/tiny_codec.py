"""The tiny autoencoder. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from torch import Tensor, nn

from diffloom.kinds import Reconstruction
from diffloom_autoencoder.blocks import Convolution
from diffloom_autoencoder.codec import LatentCodec
from diffloom_autoencoder.stage import Side, Stage
from diffloom_autoencoder.tiny_blocks import Doubled, FromUnit, Rectified, SoftClamp, TinyBlock, ToUnit

if TYPE_CHECKING:
    from diffloom.process import Draws


class TinyCodec(LatentCodec):
    """Encodes to latents without a distribution."""

    def reconstruct(self, images_BCHW: Tensor, *, draws: Draws) -> Reconstruction:
        """Encoded and decoded; draws nothing, and nothing but the reconstruction holds the latents."""
        self.check_pictures(images_BCHW)
        return Reconstruction(
            images_BCHW=images_BCHW,
            reconstructed_BCHW=self.decoder(self.encoder(images_BCHW)),
            regularisation_B=images_BCHW.new_zeros(len(images_BCHW)),
            last_layer=self.decoder.last_layer,
        )


@dataclass(frozen=True, kw_only=True)
class TinyShape:
    """What both sides have in common."""

    image_channels: int
    latent_channels: int
    channels: int
    """Width of every level."""
    blocks: tuple[int, ...]
    """Of each level, the finest first."""
    pooled_middle: bool
    """Whether the coarsest level's blocks see the whole picture."""

    @property
    def coarsest(self) -> int:
        """The last level's index."""
        return len(self.blocks) - 1

    def level(self, level: int) -> list[nn.Module]:
        """The blocks of one level."""
        pooled = self.pooled_middle and level == self.coarsest
        return [TinyBlock(channels=self.channels, pooled=pooled) for _ in range(self.blocks[level])]


def tiny_encoder(shape: TinyShape) -> Side:
    """Pictures → latents; a stage for each level."""
    width, stages = shape.channels, []
    for level in range(shape.coarsest + 1):
        parts = shape.level(level)
        if level == 0:
            parts = [ToUnit(), Convolution(shape.image_channels, width), *parts]
        if level == shape.coarsest:
            stages.append(Stage(*parts, Convolution(width, shape.latent_channels)))
        else:
            halve = Convolution(width, width, stride=2, bias=False)
            stages.append(Stage(*parts, halve, scale=Fraction(1, 2)))
    return Side(*stages)


def tiny_decoder(shape: TinyShape) -> Side:
    """Latents → pictures; a stage for each level, the coarsest first."""
    width, stages = shape.channels, []
    for level in range(shape.coarsest, -1, -1):
        parts = shape.level(level)
        if level == shape.coarsest:
            parts = [SoftClamp(), Convolution(shape.latent_channels, width), Rectified(), *parts]
        else:
            parts = [Doubled(), Convolution(width, width, bias=False), *parts]
        if level == 0:
            parts += [Convolution(width, shape.image_channels), FromUnit()]
        stages.append(Stage(*parts, scale=Fraction(1 if level == shape.coarsest else 2)))
    return Side(*stages)
