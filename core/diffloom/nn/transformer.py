"""Transformers on the pixels of a picture. Legend: B batch, C channels, H height, W width, L = H·W pixels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.nn.attention import AttentionKernel, torch_attention
from diffloom.nn.block import Block
from diffloom.nn.folding import is_plain_conv
from diffloom.nn.geglu import GEGLU
from diffloom.nn.initial import zeroed
from diffloom.nn.ready_transformer import ready_transformer
from diffloom.nn.signal import Signal
from diffloom.nn.token_attention import CrossAttention, TokenAttention

Projection = Literal["conv", "linear"]


class TransformerBlock(Block):
    """Tokens attend to each other, read the condition's and go through a feed-forward: (B, L, C) → (B, L, C).

    Each of the three stands behind a layer normalisation and beside a shortcut (Rombach et al. 2022, appendix E.2.1).
    The arguments are `CrossAttention`'s.
    """

    def __init__(
        self,
        *,
        channels: int,
        token_width: int,
        heads: int | None = None,
        head_channels: int | None = None,
        kernel: AttentionKernel = torch_attention,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attend = TokenAttention(
            channels=channels, heads=heads, head_channels=head_channels, kernel=kernel
        )
        self.norm2 = nn.LayerNorm(channels)
        self.read = CrossAttention(
            channels=channels,
            token_width=token_width,
            heads=heads,
            head_channels=head_channels,
            kernel=kernel,
        )
        self.norm3 = nn.LayerNorm(channels)
        self.feed = GEGLU(channels=channels)

    def forward(self, x_BLC: Tensor, condition: Condition) -> Tensor:
        x_BLC = x_BLC + self.attend(self.norm1(x_BLC))
        x_BLC = x_BLC + self.read(self.norm2(x_BLC), condition)
        out_BLC: Tensor = x_BLC + self.feed(self.norm3(x_BLC))
        return out_BLC


class SpatialTransformer(nn.Module):
    """`depth` transformer blocks on the pixels of a picture, added to it: (B, C, H, W) → (B, C, H, W).

    Rombach et al. 2022, appendix E.2.1; reads `signal.condition`. The projections into and out of the blocks are 1×1
    convolutions or, equally, linear layers on the pixels: the two differ in the shape of their weights only, which is
    why Stable Diffusion 1 files hold the one and 2 and XL the other. The last starts at zero. The other arguments are
    `CrossAttention`'s.
    """

    def __init__(
        self,
        *,
        channels: int,
        token_width: int,
        depth: int = 1,
        heads: int | None = None,
        head_channels: int | None = None,
        projection: Projection = "conv",
        norm_groups: int = 32,
        norm_eps: float = 1e-6,
        kernel: AttentionKernel = torch_attention,
    ) -> None:
        super().__init__()
        self.projection = projection
        self.norm = nn.GroupNorm(norm_groups, channels, eps=norm_eps)
        self.enter = _projection(projection, channels)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                channels=channels,
                token_width=token_width,
                heads=heads,
                head_channels=head_channels,
                kernel=kernel,
            )
            for _ in range(depth)
        )
        self.leave = zeroed(_projection, projection, channels)

    def forward(self, x_BCHW: Tensor, signal: Signal) -> Tensor:
        shape, conv = x_BCHW.shape, self.projection == "conv"
        h_BCHW = self.norm(x_BCHW)
        h_BLC = _tokens(self.enter(h_BCHW)) if conv else self.enter(_tokens(h_BCHW))
        for block in self.blocks:
            h_BLC = block(h_BLC, signal.condition)
        h_BCHW = self.leave(_picture(h_BLC, shape)) if conv else _picture(self.leave(h_BLC), shape)
        return x_BCHW + h_BCHW

    def for_inference(self) -> nn.Module:
        """The same transformer for samples; one that is, or holds, anything of another class keeps its own form."""
        own = all(type(layer) is nn.Linear or is_plain_conv(layer) for layer in (self.enter, self.leave))
        return ready_transformer(self) if type(self) is SpatialTransformer and own else self


def _projection(projection: Projection, channels: int) -> nn.Conv2d | nn.Linear:
    return nn.Conv2d(channels, channels, 1) if projection == "conv" else nn.Linear(channels, channels)


def _tokens(x_BCHW: Tensor) -> Tensor:
    """A token for every pixel, row by row: (B, L, C)."""
    return x_BCHW.flatten(2).transpose(1, 2)


def _picture(x_BLC: Tensor, shape: torch.Size) -> Tensor:
    """The tokens back in their places: (B, C, H, W)."""
    return x_BLC.transpose(1, 2).reshape(shape)
