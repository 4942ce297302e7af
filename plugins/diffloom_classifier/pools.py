"""From pixels to logits: the heads of guided-diffusion's classifiers.

A pool is called `pool(passed)` with what came behind the entrance, each stack and the middle, in that order, and gives
logits (B, K). Legend: B batch, C channels, H height, W width, K classes, L pixels and their mean, N heads, D head
width, F the widths of all stacks together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn import torch_attention

HIDDEN = 2048
"""Width between the two layers of the pools of all stacks."""
NORM_EPS = 1e-5


def pool_of(
    word: Literal["adaptive", "attention", "spatial", "spatial_v2"],
    *,
    widths: Sequence[int],
    pixels: int,
    head_channels: int,
    classes: int,
    norm_groups: int,
) -> nn.Module:
    """The pool of this name, for stacks of these widths, the last of so many pixels."""
    match word:
        case "adaptive":
            return MeanPool(channels=widths[-1], classes=classes, norm_groups=norm_groups)
        case "attention":
            return AttentionPool(
                channels=widths[-1],
                pixels=pixels,
                head_channels=head_channels,
                classes=classes,
                norm_groups=norm_groups,
            )
        case "spatial":
            return StacksPool(width=sum(widths), classes=classes)
    return NormalisedStacksPool(width=sum(widths), classes=classes, norm_groups=norm_groups)


class MeanPool(nn.Module):
    """A layer on the mean of all pixels, behind a normalisation."""

    def __init__(self, *, channels: int, classes: int, norm_groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(norm_groups, channels, eps=NORM_EPS)
        self.out = nn.Linear(channels, classes)

    def forward(self, passed: Sequence[Tensor]) -> Tensor:
        mean_BC = functional.silu(self.norm(passed[-1])).mean((2, 3))
        logits_BK: Tensor = self.out(mean_BC)
        return logits_BK


class AttentionPool(nn.Module):
    """The mean of all pixels attends to itself and to each of them (Radford et al. 2021, section 2.4).

    Each of the L = `pixels` + 1 has a learned position. Raises ValueError when the heads do not fill the channels.
    """

    def __init__(
        self, *, channels: int, pixels: int, head_channels: int, classes: int, norm_groups: int
    ) -> None:
        super().__init__()
        if channels % head_channels:
            raise ValueError(f"{channels} channels cannot be split into heads of {head_channels} channels")
        self.heads = channels // head_channels
        self.norm = nn.GroupNorm(norm_groups, channels, eps=NORM_EPS)
        self.position_CL = nn.Parameter(torch.randn(channels, pixels + 1) / channels**0.5)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, classes)

    def forward(self, passed: Sequence[Tensor]) -> Tensor:
        pixels_BCL = functional.silu(self.norm(passed[-1])).flatten(2)
        tokens_BCL = torch.cat([pixels_BCL.mean(2, keepdim=True), pixels_BCL], 2) + self.position_CL
        qkv_BL3ND = self.qkv(tokens_BCL.transpose(1, 2)).unflatten(2, (3, self.heads, -1))
        q_BNLD, k_BNLD, v_BNLD = qkv_BL3ND.permute(2, 0, 3, 1, 4).unbind(0)
        seen_BN1D = torch_attention(q_BNLD[:, :, :1], k_BNLD, v_BNLD)  # nobody reads what pixels see
        logits_BK: Tensor = self.out(seen_BN1D.flatten(1))
        return logits_BK


class StacksPool(nn.Module):
    """Two layers on the means of all stacks: `spatial`."""

    def __init__(self, *, width: int, classes: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, HIDDEN)
        self.out = nn.Linear(HIDDEN, classes)

    def forward(self, passed: Sequence[Tensor]) -> Tensor:
        means_BF = torch.cat([x_BCHW.mean((2, 3)) for x_BCHW in passed], 1)
        logits_BK: Tensor = self.out(self.between(self.expand(means_BF)))
        return logits_BK

    def between(self, hidden_BD: Tensor) -> Tensor:
        """What stands between the layers."""
        return functional.relu(hidden_BD)


class NormalisedStacksPool(StacksPool):
    """The same with a normalisation between them, and a smoother bend: `spatial_v2`."""

    def __init__(self, *, width: int, classes: int, norm_groups: int) -> None:
        super().__init__(width=width, classes=classes)
        self.norm = nn.GroupNorm(norm_groups, HIDDEN, eps=NORM_EPS)

    def between(self, hidden_BD: Tensor) -> Tensor:
        return functional.silu(self.norm(hidden_BD))
