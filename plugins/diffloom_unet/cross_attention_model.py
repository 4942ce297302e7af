"""The U-Net that reads tokens, as a plain module."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from diffloom.nn import SpatialTransformer
from diffloom_unet.network import Network

if TYPE_CHECKING:
    from typing import Unpack

    from diffloom_unet.network import Options

HABITS: Options = {
    "in_channels": 4,
    "out_channels": 4,
    "downsample_padding": "symmetric",
    "time_cos_first": True,
    "time_frequency_shift": 0,
}
"""Where the latent-diffusion networks differ from Ho et al.'s."""


class CrossAttentionUNetModel(Network):
    """U-Net of Rombach et al. 2022: `model(x_BCHW, t_B, condition)` → (B, out_channels, H, W).

    `token_width` is the width of the tokens that are read, `transformer_depth` the number of transformer
    blocks behind each residual block of a level, 0 for none, and `middle_depth` that of the middle. Their
    attention has `heads` heads at every level, or as many as have `head_channels` channels each; one if
    neither is said. The other arguments are `Network`'s, with `HABITS` where nothing is said.

    Raises ValueError for widths that `norm_groups` or the heads do not divide and for depths that are not one
    for each level.
    """

    def __init__(
        self,
        *,
        token_width: int,
        channels: Sequence[int] = (320, 640, 1280, 1280),
        transformer_depth: Sequence[int] = (1, 1, 1, 0),
        middle_depth: int = 1,
        heads: int | None = None,
        head_channels: int | None = None,
        projection: Literal["conv", "linear"] = "conv",
        norm_groups: int = 32,
        norm_eps: float = 1e-5,
        **options: Unpack[Options],
    ) -> None:
        if len(transformer_depth) != len(channels):
            raise ValueError(
                f"there are {len(channels)} levels, and transformer_depth tells of {len(transformer_depth)}"
            )

        def transformer(depth: int, width: int) -> SpatialTransformer:
            return SpatialTransformer(
                channels=width,
                token_width=token_width,
                depth=depth,
                heads=heads,
                head_channels=head_channels,
                projection=projection,
                norm_groups=norm_groups,
            )

        *attention, middle = (
            partial(transformer, depth) if depth else None for depth in (*transformer_depth, middle_depth)
        )
        habits: Options = {**HABITS, **options}
        super().__init__(
            channels=channels,
            attention=attention,
            middle=middle,
            norm_groups=norm_groups,
            norm_eps=norm_eps,
            token_width=token_width,
            **habits,
        )
