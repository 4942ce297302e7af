"""Component `cross_attention_unet`: what a YAML file says of the U-Net that reads tokens. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet.family import UNetFamily

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from torch import nn

    from diffloom.bridge import Bridge


class CrossAttentionUNet(UNetFamily):
    """U-Net of Rombach et al. 2022, whose pixels attend to tokens; reads class ids, vectors and pictures as well.

    The defaults, with `heads: 8`, are Stable Diffusion 1's network, of 859,520,964 parameters beside tokens of width
    768. Stable Diffusion 2 has `head_channels: 64` and `projection: linear`; so has XL, with `channels: [320, 640,
    1280]`, `transformer_depth: [0, 2, 10]` and `middle_depth: 10`.
    """

    name = "cross_attention_unet"

    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (320, 640, 1280, 1280)
    """Width of each level, from the finest to the coarsest; each level halves height and width."""
    transformer_depth: tuple[NonNegativeInt, ...] = (1, 1, 1, 0)
    """For each level: transformer blocks behind each of its residual blocks, 0 for none."""
    middle_depth: NonNegativeInt = 1
    """Transformer blocks in the middle, behind the coarsest level."""
    projection: Literal["conv", "linear"] = "conv"
    """How the layers into and out of the transformers keep their weights: as 1×1 convolutions (Stable Diffusion 1) or
    as linear layers (2, XL). They compute the same.
    """
    norm_eps: PositiveFloat = 1e-5
    """Added to the variances that the normalisations divide by; those at the transformers' entries add 1e-6."""
    downsample_padding: Literal["asymmetric", "symmetric"] = "symmetric"
    """Whether a halving convolution pads bottom and right or all four sides (the paper)."""
    time_cos_first: bool = True
    """Time embedding: cosines, then sines (the paper), or the other way round (Ho et al. 2020)."""
    time_frequency_shift: Literal[0, 1] = 0
    """The slowest wave of the time embedding: 1 ends at exactly 1/10000, 0 just before it (the paper)."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        """Small networks that differ in every switch."""
        return (
            cls(channels=(8, 16), blocks_per_level=1, transformer_depth=(1, 0), heads=2, norm_groups=4),
            cls(
                channels=(16,),
                blocks_per_level=1,
                transformer_depth=(2,),
                middle_depth=0,
                head_channels=8,
                projection="linear",
                norm_groups=4,
                embedding="scale_shift",
            ),
        )

    @model_validator(mode="after")
    def _depths_fit(self) -> Self:
        if len(self.transformer_depth) != len(self.channels):
            raise ValueError(
                f"there are {len(self.channels)} levels, and transformer_depth tells of {len(self.transformer_depth)}; "
                "give one number for each, 0 where pixels do not attend"
            )
        if not any((*self.transformer_depth, self.middle_depth)):
            raise ValueError(
                "transformer_depth and middle_depth are 0 everywhere, so that no token is read; use unet"
            )
        return self

    def attending_widths(self, space: SpaceInfo) -> set[int]:
        depths = (*self.transformer_depth, self.middle_depth)
        return {
            width for width, depth in zip((*self.channels, self.channels[-1]), depths, strict=True) if depth
        }

    def check(self, *, space: SpaceInfo, condition: ConditionInfo) -> None:
        if not condition.tokens:
            raise ValueError("cross_attention_unet attends to tokens, and no conditioner gives any; use unet")
        super().check(space=space, condition=condition)

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        """A `CrossAttentionUNetModel`. Raises ValueError for conditions it cannot read and spaces it cannot halve."""
        self.check(space=space, condition=condition)
        from diffloom_unet.cross_attention_model import CrossAttentionUNetModel

        return CrossAttentionUNetModel(
            token_width=condition.tokens,
            transformer_depth=self.transformer_depth,
            middle_depth=self.middle_depth,
            projection=self.projection,
            **self.options(space=space, condition=condition),
        )

    @classmethod
    def bridges(cls) -> tuple[Bridge, ...]:
        """diffusers' `UNet2DConditionModel`, with SDXL's vector or one in the class's place; latent-diffusion's."""
        from diffloom_unet.bridges.diffusers_cross_attention import (
            DiffusersCrossAttentionUNet,
            DiffusersProjectedUNet,
        )
        from diffloom_unet.bridges.ldm import LDMUNet

        return (DiffusersCrossAttentionUNet(), DiffusersProjectedUNet(), LDMUNet())
