"""Component `autoencoder_kl`. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from diffloom.kinds import ImageInfo
from diffloom_autoencoder.levels import LevelledAutoencoder

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from torch import nn

    from diffloom.bridge import Bridge


class AutoencoderKL(LevelledAutoencoder):
    """Autoencoder of Rombach et al. 2022 whose latents are kept near a standard normal distribution.

    The defaults are KL-f8, of 83,653,863 parameters: Stable Diffusion's with `scale: 0.18215`, SDXL's with 0.13025.
    KL-f4 has 3 latent channels and channels (128, 256, 512); KL-f16 has 16, (128, 128, 256, 256, 512) and
    attention_levels (4,); KL-f32 has 64, (128, 128, 256, 256, 512, 512) and (4, 5).
    """

    name = "autoencoder_kl"

    quant_convs: bool = True
    """Whether a pointwise convolution stands on each side of the latents; the 16-channel ones have none."""
    posterior: Literal["sample", "mode"] = "sample"
    """What a diffusion model trains on: draws from what the encoder says of a picture, or its mode. Encoding a
    picture outside of training gives the mode.
    """

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        """Small networks that differ in every switch: the default takes minutes to examine."""
        return (
            cls(channels=(8, 16), norm_groups=4, blocks_per_level=1, scale=0.5, shift=0.25),
            cls(
                channels=(8, 8, 12),
                norm_groups=4,
                blocks_per_level=1,
                latent_channels=2,
                attention_levels=(1,),
                quant_convs=False,
                posterior="mode",
                rows=2,
                tile=2,
            ),
        )

    @classmethod
    def bridges(cls) -> tuple[Bridge, ...]:
        from diffloom_autoencoder.bridges.levelled import DiffusersKL, FormerDiffusersKL, LdmKL

        return (DiffusersKL(), FormerDiffusersKL(), LdmKL())

    def build(self, *, image: ImageInfo) -> nn.Module:
        from diffloom_autoencoder.kl_codec import KLCodec, SampledKLCodec
        from diffloom_autoencoder.sides import decoder, encoder

        shape = self.shape(image_channels=image.channels, quant_convs=self.quant_convs)
        codec = SampledKLCodec if self.posterior == "sample" else KLCodec
        return codec(
            encoder=encoder(shape, out_channels=2 * self.latent_channels),
            decoder=decoder(shape),
            channels=(image.channels, self.latent_channels),
            factor=self.factor,
            handling=self.handling(),
        )
