"""What a YAML file says of every autoencoder here. Does not import torch."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import PositiveInt, model_validator

from diffloom.kinds import ImageInfo, LatentSpace, SpaceInfo

if TYPE_CHECKING:
    from typing import Self

    from diffloom_autoencoder.codec import Handling


class Autoencoder(LatentSpace):
    """A convolutional encoder and decoder."""

    latent_channels: PositiveInt = 4
    """Numbers that a place of the latents holds."""
    rows: PositiveInt | None = None
    """Pictures that are encoded or decoded at once, so that a large batch needs no more memory. With null all are in
    training, and samples as many as there is memory for."""
    tile: PositiveInt | None = None
    """Side, in latents, of pictures that need less memory than is usual when they are larger; 64 is usual. With null,
    samples are decoded so where there is too little memory for one at once, and nothing else is. The result is the
    same, up to rounding, and there are no seams. Drawing samples computes in strips anyway, and then twice what it
    would hold: twice as long for two thirds of the memory. Elsewhere, and in the tiny autoencoder, windows of
    this side are computed anew to normalise by the whole picture, which takes three to four times as long.
    """

    @property
    @abstractmethod
    def factor(self) -> int:
        """Pixels a side that one latent stands for."""

    @model_validator(mode="after")
    def _statistics_fit(self) -> Self:
        if self.statistics is not None and len(self.statistics.mean) != self.latent_channels:
            raise ValueError(
                f"statistics of {len(self.statistics.mean)} channels for {self.latent_channels} latent_channels; "
                "run `diffloom calibrate` again"
            )
        return self

    def info(self, image: ImageInfo) -> SpaceInfo:
        factor = self.factor
        for side, size in (("height", image.height), ("width", image.width)):
            if size % factor or not size:
                near = sorted({max(size // factor, 1) * factor, (size // factor + 1) * factor})
                raise ValueError(
                    f"a latent stands for {factor}×{factor} pixels, and the {side} {size} is no multiple of "
                    f"{factor}; give {' or '.join(map(str, near))}"
                )
        return SpaceInfo(
            channels=self.latent_channels, height=image.height // factor, width=image.width // factor
        )

    def handling(self) -> Handling:
        """How the codec scales and computes latents; imports torch."""
        from diffloom_autoencoder.codec import Handling

        shift, scale = self.normalisation
        return Handling(shift=shift, scale=scale, rows=self.rows, tile=self.tile)
