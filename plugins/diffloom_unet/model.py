"""The pixel U-Net as a plain module."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from diffloom.nn import SelfAttention
from diffloom_unet.network import Network

if TYPE_CHECKING:
    from typing import Unpack

    from diffloom_unet.network import Options


class UNetModel(Network):
    """U-Net of Ho et al. 2020: `model(x_BCHW, t_B, condition)` → (B, out_channels, H, W).

    `attention_levels` holds the indices of the levels whose pixels attend to each other, beside the middle,
    which always does. There are `heads` heads, or as many as have `head_channels` channels each; one if
    neither is said. The other arguments are `Network`'s.

    Raises ValueError for widths that `norm_groups` or the heads do not divide and for levels there are not.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (128, 256, 256, 256),
        attention_levels: Collection[int] = (1,),
        heads: int | None = None,
        head_channels: int | None = None,
        norm_groups: int = 32,
        norm_eps: float = 1e-6,
        **options: Unpack[Options],
    ) -> None:
        levels = range(len(channels))
        if not set(attention_levels) <= set(levels):
            raise ValueError(f"attention_levels {sorted(attention_levels)}: there are {len(channels)} levels")

        def attention(width: int) -> SelfAttention:
            return SelfAttention(
                channels=width,
                heads=heads,
                head_channels=head_channels,
                norm_groups=norm_groups,
                norm_eps=norm_eps,
            )

        super().__init__(
            channels=channels,
            attention=[attention if level in attention_levels else None for level in levels],
            middle=attention,
            norm_groups=norm_groups,
            norm_eps=norm_eps,
            **options,
        )
