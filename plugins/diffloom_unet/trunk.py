"""The skeleton of every U-Net, which knows no block by name.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from diffloom.nn import Deep, Signal, Stack


@dataclass(frozen=True)
class Parts:
    """What a U-Net is made of. Every part is called `part(x_BCHW, signal)`; other parts, another network."""

    block: Callable[[int, int], nn.Module]
    """(in_channels, out_channels) → a block that keeps height and width."""
    attention: Sequence[Callable[[int], nn.Module] | None]
    """For each level: channels → a block that lets its pixels attend; None where they do not."""
    middle: Callable[[int], nn.Module] | None
    """The same for the middle, behind the coarsest level."""
    down: Callable[[int], nn.Module]
    """channels → a block that halves height and width."""
    up: Callable[[int], nn.Module]
    """channels → a block that doubles height and width."""


class Trunk(nn.Module):
    """Levels down, a middle, levels up, skips between: channels[0] channels in and out.

    Ho et al. 2020, appendix B, after Ronneberger et al. 2015. Every stack on the way down leaves a skip, as
    the input does; every stack on the way up first takes the newest one left, so that a level has one stack
    more up than down.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        channels: Sequence[int],
        blocks_per_level: int,
    ) -> None:
        super().__init__()
        coarsest = len(channels) - 1
        width = channels[0]
        skips = [width]
        self.down = nn.ModuleList()
        for level, out in enumerate(channels):
            for _ in range(blocks_per_level):
                self.down.append(_stack(parts, width, out, level))
                skips.append(width := out)
            if level < coarsest:
                self.down.append(Stack(parts.down(width)))
                skips.append(width)
        self.middle = Stack(
            parts.block(width, width),
            *([parts.middle(width)] if parts.middle else []),
            parts.block(width, width),
        )
        self.up = nn.ModuleList()
        for level in range(coarsest, -1, -1):
            out = channels[level]
            for last in [False] * blocks_per_level + [True]:
                stack = _stack(parts, width + skips.pop(), out, level)
                if last and level > 0:
                    stack.parts.append(parts.up(out))
                self.up.append(stack)
                width = out

    @property
    def depths(self) -> int:
        """How often it can be divided: outside depth d are the d last stacks up, and d − 1 first stacks down."""
        return len(self.up)

    def forward(self, x_BCHW: Tensor, signal: Signal, deep: Deep | None = None) -> Tensor:
        """The inside of `deep.depth` is `deep`'s to compute; without it everything is inside of a depth of 1."""
        depth = 1 if deep is None else deep.depth
        down, up = list(self.down), list(self.up)
        skips = [x_BCHW]
        for stack in down[: depth - 1]:
            skips.append(x_BCHW := stack(x_BCHW, signal))
        inside = partial(self._inside, x_BCHW, signal, down[depth - 1 :], up[:-depth])
        x_BCHW = inside() if deep is None else deep(inside)
        for stack in up[-depth:]:
            x_BCHW = stack(torch.cat([x_BCHW, skips.pop()], dim=1), signal)
        return x_BCHW

    def _inside(
        self, x_BCHW: Tensor, signal: Signal, down: Sequence[nn.Module], up: Sequence[nn.Module]
    ) -> Tensor:
        """Down these stacks, the middle, up those."""
        skips = []
        for stack in down:
            skips.append(x_BCHW := stack(x_BCHW, signal))
        x_BCHW = self.middle(x_BCHW, signal)
        for stack in up:
            x_BCHW = stack(torch.cat([x_BCHW, skips.pop()], dim=1), signal)
        return x_BCHW


def _stack(parts: Parts, width: int, out: int, level: int) -> Stack:
    """A block, and attention behind it where the level attends."""
    attention = parts.attention[level]
    return Stack(parts.block(width, out), *([attention(out)] if attention else []))
