"""What network a classifier is, as guided-diffusion's flags say it. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from diffloom.kinds import Section, SpaceInfo

if TYPE_CHECKING:
    from typing import Self

    from diffloom_classifier.network import EncoderClassifier

NORM_GROUPS = 32
"""Groups of every normalisation in guided-diffusion."""


class EncoderShape(Section):
    """The encoder half of the U-Net of Dhariwal & Nichol 2021, and a head. The defaults are those for 256 × 256."""

    classes: PositiveInt = 1000
    """How many classes it tells apart: those of the model, without the null class."""
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 128, 256, 256, 512, 512)
    """Width of each level, from the finest to the coarsest; each level halves height and width."""
    blocks_per_level: PositiveInt = 2
    """Residual blocks of a level: guided-diffusion's depth."""
    attention_resolutions: tuple[PositiveInt, ...] = (32, 16, 8)
    """Levels whose pixels attend to each other, named by their shorter side; the middle always attends."""
    head_channels: PositiveInt = 64
    """Width of one attention head."""
    embedding: Literal["add", "scale_shift"] = "scale_shift"
    """How residual blocks use the embedding of time: added, or as a scale and a shift of their second normalisation."""
    resample: Literal["conv", "residual"] = "residual"
    """What halves height and width: a convolution, or a residual block that averages pixels on its way."""
    pool: Literal["adaptive", "attention", "spatial", "spatial_v2"] = "attention"
    """How pixels become one vector: as their mean, by an attention from their mean to all of them (CLIP's), or by two
    layers on the means behind every block, without a normalisation between them or with one."""
    time_width: PositiveInt | None = None
    """Numbers that time is first written as, guided-diffusion's width; null takes the first level's."""

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        odd = [str(width) for width in self.channels if width % NORM_GROUPS]
        if odd:
            raise ValueError(
                f"{NORM_GROUPS} groups, in which the classifier normalises, do not divide the channels "
                f"{', '.join(odd)}; give multiples of {NORM_GROUPS}"
            )
        if (self.time_width or 2) % 2:
            raise ValueError(f"a time embedding's width is even, not {self.time_width}")
        return self

    @property
    def shape(self) -> EncoderShape:
        """The shape by itself, of what is more than that."""
        return EncoderShape(**{name: getattr(self, name) for name in EncoderShape.model_fields})

    def attention_levels(self, space: SpaceInfo) -> tuple[int, ...]:
        """The levels that attend in this space, 0 the finest. Raises ValueError for a space it cannot classify."""
        side, factor = min(space.height, space.width), 1 << (len(self.channels) - 1)
        if space.height % factor or space.width % factor:
            raise ValueError(
                f"the classifier's {len(self.channels)} levels need a height and width divisible by {factor}, and the "
                f"space is {space.height}×{space.width}; give the channels of a classifier of that size"
            )
        resolutions = [side >> level for level in range(len(self.channels))]
        never = [str(wanted) for wanted in self.attention_resolutions if wanted not in resolutions]
        if never:
            raise ValueError(
                f"attention_resolutions: no level of the classifier has {' or '.join(never)} pixels; "
                f"they have {', '.join(map(str, resolutions))}"
            )
        levels = tuple(resolutions.index(wanted) for wanted in self.attention_resolutions)
        attending = {self.channels[level] for level in levels} | {self.channels[-1]}
        for width in sorted(attending):
            if width % self.head_channels:
                raise ValueError(
                    f"{width} channels of the classifier cannot be split into heads of {self.head_channels}; "
                    "give another head_channels"
                )
        return levels

    def network(self, *, space: SpaceInfo) -> EncoderClassifier:
        """The network for this space. Raises ValueError for one it cannot classify."""
        from diffloom_classifier.network import EncoderClassifier

        coarsest = len(self.channels) - 1
        return EncoderClassifier(
            in_channels=space.channels,
            classes=self.classes,
            channels=self.channels,
            blocks_per_level=self.blocks_per_level,
            attention_levels=self.attention_levels(space),
            head_channels=self.head_channels,
            embedding=self.embedding,
            resample=self.resample,
            pool=self.pool,
            pixels=(space.height >> coarsest) * (space.width >> coarsest),
            time_width=self.time_width,
            norm_groups=NORM_GROUPS,
        )
