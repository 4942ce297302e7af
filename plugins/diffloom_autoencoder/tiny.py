"""Component `tiny_autoencoder`. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveInt

from diffloom.kinds import ImageInfo
from diffloom_autoencoder.autoencoder import Autoencoder

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from torch import nn

    from diffloom.bridge import Bridge


class TinyAutoencoder(Autoencoder):
    """The tiny autoencoder of Boer Bohan (TAESD), of 2.4 million parameters: little memory, and a fast preview.

    It is distilled from a large one, with whose latents, already multiplied by their scale, its own agree: so `scale`
    stays 1. `latent_channels: 16` goes with the 16-channel ones, `latent_channels: 32` and `pooled_middle: true`
    with FLUX.2's.
    """

    name = "tiny_autoencoder"

    channels: PositiveInt = 64
    """Width of every level."""
    blocks: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (1, 3, 3, 3)
    """Residual blocks of each level, from the finest to the coarsest, on the way down and up alike."""
    pooled_middle: bool = False
    """Whether the coarsest level's blocks add a picture normalised over all pixels, as FLUX.2's do."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        """Small networks that differ in every switch."""
        return (
            cls(channels=8, blocks=(1, 1, 2)),
            cls(channels=8, blocks=(0, 1), latent_channels=6, pooled_middle=True, scale=0.5, rows=2, tile=3),
        )

    @property
    def factor(self) -> int:
        return 1 << (len(self.blocks) - 1)

    @classmethod
    def bridges(cls) -> tuple[Bridge, ...]:
        from diffloom_autoencoder.bridges.tiny import DiffusersTiny, Taesd

        return (DiffusersTiny(), Taesd())

    def build(self, *, image: ImageInfo) -> nn.Module:
        from diffloom_autoencoder.tiny_codec import TinyCodec, TinyShape, tiny_decoder, tiny_encoder

        shape = TinyShape(
            image_channels=image.channels,
            latent_channels=self.latent_channels,
            channels=self.channels,
            blocks=self.blocks,
            pooled_middle=self.pooled_middle,
        )
        return TinyCodec(
            encoder=tiny_encoder(shape),
            decoder=tiny_decoder(shape),
            channels=(image.channels, self.latent_channels),
            factor=self.factor,
            handling=self.handling(),
        )
