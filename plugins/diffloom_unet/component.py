"""Component `unet`: what a YAML file says of the pixel U-Net. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from diffloom.kinds import Backbone, ConditionInfo, SpaceInfo

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from torch import nn


class UNet(Backbone):
    """Convolutional U-Net of Ho et al. 2020, for pixels and latents; reads class ids and stacked pictures.

    The defaults are the paper's network for CIFAR-10, of 35,746,307 parameters. diffusers' `UNet2DModel`
    and the latent-diffusion networks differ in four habits: `norm_eps: 1.0e-5`, `head_channels` of 8 or 32,
    `downsample_padding: symmetric`, and `time_cos_first: true` with `time_frequency_shift: 0`.
    """

    name = "unet"

    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 256, 256, 256)
    """Width of each level, from the finest to the coarsest; each level halves height and width."""
    blocks_per_level: PositiveInt = 2
    """Residual blocks of a level on the way down; there is one more on the way up."""
    attention_resolutions: tuple[PositiveInt, ...] = (16,)
    """Levels whose pixels attend to each other, named by their shorter side in pixels of the space. The
    middle, behind the coarsest level, always attends.
    """
    head_channels: PositiveInt | None = None
    """Width of one attention head; null makes one head of all channels."""
    norm_groups: PositiveInt = 32
    """Groups of the group normalisations; divides every width."""
    norm_eps: PositiveFloat = 1e-6
    """Added to the variances that the normalisations divide by."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of activations dropped in every residual block during training."""
    embedding: Literal["add", "scale_shift"] = "add"
    """How residual blocks use the embedding of time and class: added (the paper), or as a scale and a shift of
    their second normalisation (Nichol & Dhariwal 2021).
    """
    downsample_padding: Literal["asymmetric", "symmetric"] = "asymmetric"
    """Whether halving pads bottom and right (the paper) or all four sides (diffusers)."""
    time_cos_first: bool = False
    """Time embedding: sines, then cosines (the paper), or the other way round (OpenAI, diffusers)."""
    time_frequency_shift: Literal[0, 1] = 1
    """The slowest wave of the time embedding: 1 ends at exactly 1/10000 (the paper), 0 just before it."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        """Small networks that differ in every switch: the default takes minutes to examine."""
        return (
            cls(channels=(16, 32), attention_resolutions=(8,), norm_groups=4, dropout=0.1),
            cls(
                channels=(8,),
                blocks_per_level=1,
                attention_resolutions=(),
                head_channels=4,
                norm_groups=2,
                embedding="scale_shift",
                downsample_padding="symmetric",
                time_cos_first=True,
                time_frequency_shift=0,
            ),
        )

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        odd = [str(width) for width in self.channels if width % self.norm_groups]
        if odd:
            raise ValueError(
                f"norm_groups {self.norm_groups} does not divide the channels {', '.join(odd)}; "
                "give widths that are multiples of it, or another norm_groups"
            )
        if self.embedding == "add" and set(self.channels) == {self.norm_groups}:
            raise ValueError(
                f"norm_groups {self.norm_groups} puts every channel in a group of its own, which normalises away "
                "the embeddings of time and class that are added to it; give fewer groups"
            )
        return self

    @property
    def downsampling(self) -> int:
        return 1 << (len(self.channels) - 1)

    def attention_levels(self, space: SpaceInfo) -> tuple[int, ...]:
        """The levels that attend in this space, 0 the finest. Raises ValueError for a resolution none has."""
        resolutions = [min(space.height, space.width) >> level for level in range(len(self.channels))]
        never = [str(wanted) for wanted in self.attention_resolutions if wanted not in resolutions]
        if never:
            raise ValueError(
                f"attention_resolutions: no level has {' or '.join(never)} pixels; "
                f"the levels have {', '.join(map(str, resolutions))}"
            )
        return tuple(resolutions.index(wanted) for wanted in self.attention_resolutions)

    def check(self, *, space: SpaceInfo, condition: ConditionInfo) -> None:
        if condition.tokens or condition.vector:
            raise ValueError(
                "unet reads class ids and stacked pictures; tokens need a backbone with cross-attention, "
                "and a vector one that projects it into its time embedding"
            )
        if space.height % self.downsampling or space.width % self.downsampling:
            raise ValueError(
                f"{len(self.channels)} levels need a height and width divisible by {self.downsampling}, "
                f"and the space is {space.height} x {space.width}; give fewer channels or another size"
            )
        for level, width in enumerate(self.channels):
            if width * (space.height >> level) * (space.width >> level) == self.norm_groups:
                raise ValueError(
                    f"norm_groups {self.norm_groups} puts each of the {width} channels of a 1 x 1 level in a "
                    "group of its own, and a single number always normalises to zero; give fewer groups"
                )
        attending = {self.channels[level] for level in self.attention_levels(space)} | {self.channels[-1]}
        for width in sorted(attending):
            if width % (self.head_channels or width):
                raise ValueError(
                    f"{width} channels cannot be split into heads of {self.head_channels} channels"
                )

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        """A `UNetModel`. Raises ValueError for conditions it cannot read and spaces it cannot halve."""
        self.check(space=space, condition=condition)
        from diffloom_unet.model import UNetModel

        return UNetModel(
            in_channels=space.channels,
            out_channels=space.channels * (2 if self.learn_variance else 1),
            channels=self.channels,
            blocks_per_level=self.blocks_per_level,
            attention_levels=self.attention_levels(space),
            head_channels=self.head_channels,
            norm_groups=self.norm_groups,
            norm_eps=self.norm_eps,
            dropout=self.dropout,
            embedding=self.embedding,
            downsample_padding=self.downsample_padding,
            time_cos_first=self.time_cos_first,
            time_frequency_shift=self.time_frequency_shift,
            classes=condition.classes,
            concat_channels=condition.concat,
        )
