"""Component `unet`: what a YAML file says of the pixel U-Net. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt

from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet.family import UNetFamily

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from torch import nn

    from diffloom.bridge import Bridge


class UNet(UNetFamily):
    """Convolutional U-Net of Ho et al. 2020, for pixels and latents; reads class ids, vectors and stacked pictures.

    The defaults are the paper's network for CIFAR-10, of 35,746,307 parameters. diffusers' `UNet2DModel`
    and the latent-diffusion networks differ in four habits: `norm_eps: 1.0e-5`, `head_channels` of 8 or 32,
    `downsample_padding: symmetric`, and `time_cos_first: true` with `time_frequency_shift: 0`. Those of
    Dhariwal & Nichol 2021 (ADM) have these four, and `embedding: scale_shift` with `resample: residual`.
    """

    name = "unet"

    attention_resolutions: tuple[PositiveInt, ...] = (16,)
    """Levels whose pixels attend to each other, named by their shorter side in pixels of the space. The
    middle, behind the coarsest level, always attends.
    """

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        """Small networks that differ in every switch: the default takes minutes to examine."""
        return (
            cls(channels=(16, 32), heads=2, attention_resolutions=(8,), norm_groups=4, dropout=0.1),
            cls(
                channels=(8, 16),
                blocks_per_level=1,
                attention_resolutions=(),
                head_channels=4,
                norm_groups=2,
                embedding="scale_shift",
                resample="residual",
                time_width=12,
                time_scale=0.25,
                time_cos_first=True,
                time_frequency_shift=0,
            ),
        )

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

    def attending_widths(self, space: SpaceInfo) -> set[int]:
        return {self.channels[level] for level in self.attention_levels(space)} | {self.channels[-1]}

    def check(self, *, space: SpaceInfo, condition: ConditionInfo) -> None:
        if condition.tokens:
            raise ValueError(
                "unet reads class ids, vectors and stacked pictures; tokens need a backbone with cross-attention, "
                "such as cross_attention_unet"
            )
        super().check(space=space, condition=condition)

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        """A `UNetModel`. Raises ValueError for conditions it cannot read and spaces it cannot halve."""
        self.check(space=space, condition=condition)
        from diffloom_unet.model import UNetModel

        return UNetModel(
            attention_levels=self.attention_levels(space), **self.options(space=space, condition=condition)
        )

    @classmethod
    def bridges(cls) -> tuple[Bridge, ...]:
        """diffusers' `UNet2DModel`, by its names of today and of its first year; OpenAI's, with rows in both orders."""
        from diffloom_unet.bridges.diffusers_unet import DiffusersUNet, FormerDiffusersUNet
        from diffloom_unet.bridges.openai import OpenAIUNet, OpenAIUNetNewOrder

        return (DiffusersUNet(), FormerDiffusersUNet(), OpenAIUNet(), OpenAIUNetNewOrder())
