"""Component `autoencoder_vq`. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from diffloom.kinds import ImageInfo
from diffloom_autoencoder.levels import LevelledAutoencoder

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from torch import nn

    from diffloom.bridge import Bridge


class AutoencoderVQ(LevelledAutoencoder):
    """Autoencoder of Esser et al. 2021 and Rombach et al. 2022 whose decoder reads entries of a learned codebook.

    The defaults are VQ-f4. VQ-f8 has 4 latent channels, channels (128, 256, 256, 512), attention_levels (3,) and a
    codebook of 16384.
    """

    name = "autoencoder_vq"

    latent_channels: PositiveInt = 3
    """Numbers that a place of the latents, and an entry of the codebook, holds."""
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 256, 512)
    """Width of each level, from the finest to the coarsest; each level halves height and width."""
    codebook: PositiveInt = 8192
    """Entries."""
    commitment: PositiveFloat = 0.25
    """Weight of the part of the loss that draws the encoder to the entries (β), beside that which draws these to it."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        """Small networks: the default takes minutes to examine."""
        return (
            cls(channels=(8, 16), norm_groups=4, blocks_per_level=1, codebook=32),
            cls(channels=(8,), norm_groups=2, attention_levels=(0,), codebook=7, scale=2.0, rows=2),
        )

    @classmethod
    def bridges(cls) -> tuple[Bridge, ...]:
        from diffloom_autoencoder.bridges.levelled import DiffusersVQ, FormerDiffusersVQ, LdmVQ

        return (DiffusersVQ(), FormerDiffusersVQ(), LdmVQ())

    def build(self, *, image: ImageInfo) -> nn.Module:
        from diffloom_autoencoder.codebook import Codebook
        from diffloom_autoencoder.sides import decoder, encoder
        from diffloom_autoencoder.vq_codec import VQCodec

        shape = self.shape(image_channels=image.channels)
        return VQCodec(
            encoder=encoder(shape, out_channels=self.latent_channels),
            decoder=decoder(shape),
            codebook=Codebook(entries=self.codebook, channels=self.latent_channels),
            commitment=self.commitment,
            channels=(image.channels, self.latent_channels),
            factor=self.factor,
            handling=self.handling(),
        )
