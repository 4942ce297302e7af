"""The pixel U-Net as a plain module. Legend: B batch, C channels, H height, W width, E embedding width."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.condition import Condition
from diffloom.nn import (
    Downsample,
    ResidualBlock,
    ScaleShiftResidualBlock,
    SelfAttention,
    Signal,
    SinusoidalEmbedding,
    TimestepMLP,
    Upsample,
    zeroed,
)
from diffloom_unet.trunk import Parts, Trunk

BLOCKS = {"add": ResidualBlock, "scale_shift": ScaleShiftResidualBlock}
"""The residual block for each way of using the embedding of time and class."""


class UNetModel(nn.Module):
    """U-Net of Ho et al. 2020: `model(x_BCHW, t_B, condition)` → (B, out_channels, H, W).

    `channels` are the widths of the levels, each of half the last one's height and width;
    `attention_levels` holds the indices of those whose pixels attend to each other, beside the middle,
    which always does. `embedding` is added in each residual block, or scales and shifts its second
    normalisation. `head_channels` is the width of an attention head, `None` for a single one. With
    `classes`, class ids are embedded and added to the embedding of time; with `concat_channels`, a picture
    of so many channels is stacked on the input.

    Initial weights are PyTorch's, with zeros at the end of every residual branch and of the network, as in
    Dhariwal & Nichol 2021; `diffloom.nn.initial` says why. Class embeddings start normal with deviation 1.

    Raises ValueError for widths that `norm_groups` or `head_channels` do not divide and for levels there
    are not.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 3,
        channels: Sequence[int] = (128, 256, 256, 256),
        blocks_per_level: int = 2,
        attention_levels: Collection[int] = (1,),
        head_channels: int | None = None,
        norm_groups: int = 32,
        norm_eps: float = 1e-6,
        dropout: float = 0.0,
        embedding: Literal["add", "scale_shift"] = "add",
        downsample_padding: Literal["asymmetric", "symmetric"] = "asymmetric",
        time_cos_first: bool = False,
        time_frequency_shift: int = 1,
        classes: int = 0,
        concat_channels: int = 0,
    ) -> None:
        super().__init__()
        if not set(attention_levels) <= set(range(len(channels))):
            raise ValueError(f"attention_levels {sorted(attention_levels)}: there are {len(channels)} levels")
        width, emb_width = channels[0], 4 * channels[0]
        self.multiple = 2 ** (len(channels) - 1)
        """Height and width are multiples of this."""
        self.slots = {name for name, size in (("class_B", classes), ("concat_BCHW", concat_channels)) if size}
        """What the condition must fill, no more and no less."""
        self.sinusoids = SinusoidalEmbedding(
            width=width, cos_first=time_cos_first, frequency_shift=time_frequency_shift
        )
        self.time = TimestepMLP(width=width, emb_width=emb_width)
        self.classes = nn.Embedding(classes, emb_width) if classes else None
        block = partial(
            BLOCKS[embedding],
            emb_width=emb_width,
            norm_groups=norm_groups,
            norm_eps=norm_eps,
            dropout=dropout,
        )
        attention = partial(
            SelfAttention, head_channels=head_channels, norm_groups=norm_groups, norm_eps=norm_eps
        )
        self.enter = nn.Conv2d(in_channels + concat_channels, width, 3, padding=1)
        self.trunk = Trunk(
            Parts(
                block=lambda c_in, c_out: block(in_channels=c_in, out_channels=c_out),
                attention=lambda c: attention(channels=c),
                down=lambda c: Downsample(channels=c, padding=downsample_padding),
                up=lambda c: Upsample(channels=c),
            ),
            channels=channels,
            blocks_per_level=blocks_per_level,
            attention_levels=attention_levels,
        )
        self.norm = nn.GroupNorm(norm_groups, width, eps=norm_eps)
        self.leave = zeroed(nn.Conv2d(width, out_channels, 3, padding=1))

    def forward(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition | None = None) -> Tensor:
        """t_B are table indices, fractions allowed. Raises ValueError for slots or sizes that do not fit."""
        condition = condition or Condition()
        self._check(x_BCHW, condition)
        emb_BE = self.time(self.sinusoids(t_B).to(x_BCHW.dtype))
        if self.classes is not None:
            emb_BE = emb_BE + self.classes(condition.class_B)
        if condition.concat_BCHW is not None:
            x_BCHW = torch.cat([x_BCHW, condition.concat_BCHW], dim=1)
        signal = Signal(emb_BE=functional.silu(emb_BE), condition=condition)
        x_BCHW = self.trunk(self.enter(x_BCHW), signal)
        out_BCHW: Tensor = self.leave(functional.silu(self.norm(x_BCHW)))
        return out_BCHW

    def _check(self, x_BCHW: Tensor, condition: Condition) -> None:
        given = condition.filled().keys()
        if given != self.slots:
            raise ValueError(
                f"the condition fills {', '.join(sorted(given)) or 'no slot'}, "
                f"and this network reads {', '.join(sorted(self.slots)) or 'none'}"
            )
        if x_BCHW.shape[2] % self.multiple or x_BCHW.shape[3] % self.multiple:
            raise ValueError(
                f"height and width must be multiples of {self.multiple}, not {tuple(x_BCHW.shape[2:])}"
            )
