"""A classifier of noisy pictures. Legend: B batch, C channels, H height, W width, E embedding width, K classes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn import (
    Downsample,
    ResidualBlock,
    ScaleShiftResidualBlock,
    SelfAttention,
    Signal,
    SinusoidalEmbedding,
    Stack,
    TimestepMLP,
    halved,
)
from diffloom_classifier.pools import NORM_EPS, pool_of

BLOCKS = {"add": ResidualBlock, "scale_shift": ScaleShiftResidualBlock}
"""The residual block for each way of using the embedding of time."""


class EncoderClassifier(nn.Module):
    """The way down and the middle of the U-Net of Dhariwal & Nichol 2021, then a pool: `network(x_BCHW, t_B)` → (B, K).

    What comes out are logits. `channels` are the widths of the levels, each of half the last one's height and width;
    those of `attention_levels` attend. Time, `time_width` cosines and sines (None: as many as the first level has
    channels), is added in each residual block or scales and shifts its second normalisation, as `embedding` says.
    Between levels stands a convolution or a residual block, as `resample` says. `pool` is one of
    `diffloom_classifier.pools`; `pixels` are those of the coarsest level.

    Raises ValueError for widths that `norm_groups` or `head_channels` do not divide.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        classes: int,
        channels: Sequence[int],
        blocks_per_level: int,
        attention_levels: Collection[int],
        head_channels: int,
        embedding: Literal["add", "scale_shift"],
        resample: Literal["conv", "residual"],
        pool: Literal["adaptive", "attention", "spatial", "spatial_v2"],
        pixels: int,
        time_width: int | None = None,
        norm_groups: int = 32,
    ) -> None:
        super().__init__()
        width, last = channels[0], channels[-1]
        time_width = time_width or width
        self.sinusoids = SinusoidalEmbedding(width=time_width, cos_first=True, frequency_shift=0)
        self.time = TimestepMLP(width=time_width, emb_width=4 * time_width)
        block = partial(
            BLOCKS[embedding], emb_width=4 * time_width, norm_groups=norm_groups, norm_eps=NORM_EPS
        )
        attention = partial(
            SelfAttention, head_channels=head_channels, norm_groups=norm_groups, norm_eps=NORM_EPS
        )

        def down(width: int) -> nn.Module:
            if resample == "residual":
                return block(in_channels=width, out_channels=width, resize=halved)
            return Downsample(channels=width, padding="symmetric")

        self.enter = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down = nn.ModuleList()
        widths = [width]
        for level, out in enumerate(channels):
            for _ in range(blocks_per_level):
                attends = [attention(channels=out)] if level in attention_levels else []
                self.down.append(Stack(block(in_channels=width, out_channels=out), *attends))
                widths.append(width := out)
            if level < len(channels) - 1:
                self.down.append(Stack(down(width)))
                widths.append(width)
        self.middle = Stack(
            block(in_channels=last, out_channels=last),
            attention(channels=last),
            block(in_channels=last, out_channels=last),
        )
        self.pool = pool_of(
            pool,
            widths=(*widths, last),
            pixels=pixels,
            head_channels=head_channels,
            classes=classes,
            norm_groups=norm_groups,
        )

    def forward(self, x_BCHW: Tensor, t_B: Tensor) -> Tensor:
        """Logits; t_B are the times of the schedule that it was trained on."""
        emb_BE = self.time(self.sinusoids(t_B).to(x_BCHW.dtype))
        signal = Signal(emb_BE=functional.silu(emb_BE))
        passed = [self.enter(x_BCHW)]
        for stack in (*self.down, self.middle):
            passed.append(stack(passed[-1], signal))
        logits_BK: Tensor = self.pool(passed)
        return logits_BK
