"""What a YAML file says of Rombach et al.'s encoder and decoder. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveInt, model_validator

from diffloom_autoencoder.autoencoder import Autoencoder

if TYPE_CHECKING:
    from typing import Self

    from diffloom_autoencoder.sides import Shape


class LevelledAutoencoder(Autoencoder):
    """Levels of residual blocks, each of half the last one's height and width, and attention behind the coarsest."""

    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 256, 512, 512)
    """Width of each level, from the finest to the coarsest; each level halves height and width."""
    blocks_per_level: PositiveInt = 2
    """Residual blocks of a level of the encoder; a level of the decoder has one more."""
    attention_levels: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Levels whose pixels attend to each other, 0 the finest: (4,) in KL-f16, (4, 5) in KL-f32. The middle, behind
    the coarsest level, always attends.
    """
    norm_groups: PositiveInt = 32
    """Groups of the group normalisations; divides every width."""

    @model_validator(mode="after")
    def _shape_fits(self) -> Self:
        odd = [str(width) for width in self.channels if width % self.norm_groups]
        if odd:
            raise ValueError(
                f"norm_groups {self.norm_groups} does not divide the channels {', '.join(odd)}; "
                "give widths that are multiples of it, or another norm_groups"
            )
        never = [str(level) for level in self.attention_levels if level >= len(self.channels)]
        if never:
            raise ValueError(
                f"attention_levels {', '.join(never)}: there are {len(self.channels)} levels, the finest is 0"
            )
        return self

    @property
    def factor(self) -> int:
        return 1 << (len(self.channels) - 1)

    def shape(self, *, image_channels: int, quant_convs: bool = True) -> Shape:
        """The same for the networks; imports torch."""
        from diffloom.nn import torch_attention
        from diffloom_autoencoder.attention_slices import SlicedAttention
        from diffloom_autoencoder.sides import Shape

        return Shape(
            image_channels=image_channels,
            latent_channels=self.latent_channels,
            channels=self.channels,
            blocks_per_level=self.blocks_per_level,
            attention_levels=self.attention_levels,
            norm_groups=self.norm_groups,
            quant_convs=quant_convs,
            kernel=SlicedAttention(self.tile**2) if self.tile else torch_attention,
        )
