"""What a YAML file may say of any U-Net of the family. Does not import torch."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from diffloom.kinds import Backbone, ConditionInfo, SpaceInfo

if TYPE_CHECKING:
    from typing import Self


class UNetFamily(Backbone):
    """A U-Net but for how its pixels attend. Its defaults are the habits of Ho et al. 2020."""

    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 256, 256, 256)
    """Width of each level, from the finest to the coarsest; each level halves height and width."""
    blocks_per_level: PositiveInt = 2
    """Residual blocks of a level on the way down; there is one more on the way up."""
    heads: PositiveInt | None = None
    """Number of attention heads, the same at every level; null with no `head_channels` either makes one head."""
    head_channels: PositiveInt | None = None
    """Width of one attention head, in place of their number."""
    norm_groups: PositiveInt = 32
    """Groups of the group normalisations; divides every width."""
    norm_eps: PositiveFloat = 1e-6
    """Added to the variances that the normalisations divide by."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of activations dropped in every residual block during training."""
    embedding: Literal["add", "scale_shift"] = "add"
    """How residual blocks use the embedding of time, class and vector: added (the paper), or as a scale and a shift of
    their second normalisation (Nichol & Dhariwal 2021).
    """
    resample: Literal["conv", "residual"] = "conv"
    """What halves and doubles height and width: a convolution (the paper), or a residual block that averages or
    repeats pixels on its way (Dhariwal & Nichol 2021).
    """
    downsample_padding: Literal["asymmetric", "symmetric"] = "asymmetric"
    """Whether a halving convolution pads bottom and right (the paper) or all four sides (diffusers)."""
    time_width: PositiveInt | None = None
    """Numbers that time is first written as, a quarter of the embedding's; null takes the first level's width."""
    time_cos_first: bool = False
    """Time embedding: sines, then cosines (the paper), or the other way round (OpenAI, diffusers)."""
    time_frequency_shift: Literal[0, 1] = 1
    """The slowest wave of the time embedding: 1 ends at exactly 1/10000 (the paper), 0 just before it."""

    time_scale: PositiveFloat = 1.0
    """What a time is multiplied with before that: 0.25 shows a network 4000 times as 0 … 999.75 (Nichol & Dhariwal
    2021)."""

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
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
        if self.heads is not None and self.head_channels is not None:
            raise ValueError(
                f"heads {self.heads} is the number of heads and head_channels {self.head_channels} their width; "
                "give one of them"
            )
        width, least = self.time_width or self.channels[0], 2 * self.time_frequency_shift
        if width % 2 or width <= least:
            raise ValueError(
                f"a time embedding's width is even and above {least}, not {width}; give another time_width"
            )
        return self

    @property
    def downsampling(self) -> int:
        return 1 << (len(self.channels) - 1)

    @abstractmethod
    def attending_widths(self, space: SpaceInfo) -> set[int]:
        """The widths at which pixels attend, the middle's included. Raises ValueError for levels there are not."""

    def check(self, *, space: SpaceInfo, condition: ConditionInfo) -> None:
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
        for width in sorted(self.attending_widths(space)):
            if width % (self.heads or self.head_channels or 1):
                heads = f"{self.heads} heads" if self.heads else f"heads of {self.head_channels} channels"
                raise ValueError(f"{width} channels cannot be split into {heads}")

    def options(self, *, space: SpaceInfo, condition: ConditionInfo) -> dict[str, Any]:
        """The arguments that every network of the family takes."""
        return {
            "in_channels": space.channels * (2 if self.self_conditioning else 1),
            "out_channels": space.channels * (2 if self.learn_variance else 1),
            "channels": self.channels,
            "blocks_per_level": self.blocks_per_level,
            "heads": self.heads,
            "head_channels": self.head_channels,
            "norm_groups": self.norm_groups,
            "norm_eps": self.norm_eps,
            "dropout": self.dropout,
            "embedding": self.embedding,
            "resample": self.resample,
            "downsample_padding": self.downsample_padding,
            "time_width": self.time_width,
            "time_cos_first": self.time_cos_first,
            "time_frequency_shift": self.time_frequency_shift,
            "time_scale": self.time_scale,
            "classes": condition.classes,
            "vector_width": condition.vector,
            "concat_channels": condition.concat,
        }
