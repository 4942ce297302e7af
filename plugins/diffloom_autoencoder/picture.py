"""A picture that threads share, each a part. Legend: B batch, C channels, H height, W width, R rows of a part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import TypeVar

import torch
from torch import Tensor

from diffloom.nn import in_shares
from diffloom_autoencoder.strips import Strips

Result = TypeVar("Result")


class Picture:
    """A picture (B, C, H, W) in parts, one below another: each of as many threads goes with one through a layer.

    A part knows the nearest rows of those above and below it, which a convolution reads.
    """

    def __init__(self, parts: Iterable[Strips]) -> None:
        self.parts = tuple(parts)
        for upper, lower in pairwise(self.parts):
            upper.below, lower.above = lower.first_row(), upper.last_row()

    @classmethod
    def divided(cls, x_BCHW: Tensor, heights: Sequence[int]) -> Picture:
        """Parts of so many rows."""
        return cls(Strips([part_BCRW]) for part_BCRW in torch.split(x_BCHW, list(heights), dim=2))

    @property
    def height(self) -> int:
        """H."""
        return sum(part.height for part in self.parts)

    @property
    def width(self) -> int:
        """W."""
        return self.parts[0].width

    def kept(self) -> Picture:
        """The same strips, to be read while this keeps them."""
        return Picture(part.kept() for part in self.parts)

    def whole(self) -> Tensor:
        """The picture in one piece; the strips are let go."""
        if len(self.parts) == 1:
            return self.parts[0].whole()
        return torch.cat([strip_BCRW for part in self.parts for strip_BCRW in part.let_go()], dim=2)

    def instead(self, x_BCHW: Tensor) -> Picture:
        """What was made of the whole picture, divided as this is."""
        scale = x_BCHW.shape[2] / self.height
        return Picture.divided(x_BCHW, [int(part.height * scale) for part in self.parts])

    def each(self, work: Callable[..., Result], *beside: Picture) -> list[Result]:
        """What `work` makes of every part, and of those beside it, all at the same time."""
        together = list(zip(self.parts, *(other.parts for other in beside), strict=True))
        return [*chain.from_iterable(in_shares(lambda some: [work(*parts) for parts in some], together))]

    def made(self, make: Callable[..., Iterator[Tensor]], *beside: Picture) -> Picture:
        """The picture that `make` makes of every part, strip by strip; what it reads is let go."""
        return Picture(self.each(lambda *parts: Strips(make(*parts)), *beside))
