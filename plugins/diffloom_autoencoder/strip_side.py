"""An encoder or a decoder that draws no gradients: strip by strip. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from diffloom.nn import SelfAttention, available_bytes, shares
from diffloom_autoencoder.extent import WHOLE
from diffloom_autoencoder.picture import Picture
from diffloom_autoencoder.room import Division
from diffloom_autoencoder.stage import Side, Stage

BESIDE = 4
"""Of its widest picture, one part in so many lies beside it: windows, what convolutions need inside."""
FORMS = 2
"""Times its weights' memory is what its convolutions make of them on a CPU, once, at the first picture."""
FEWEST_ROWS = 2
"""Of the coarsest pixels, that a thread takes: of fewer, the neighbours' rows that it reads are more than its own."""


@runtime_checkable
class StripPart(Protocol):
    """A part that can read and give strips."""

    def in_strips(self, picture: Picture, *, lean: bool) -> Picture:
        """What it makes of the picture, whose strips are let go on the way; `lean` computes again what it need not
        hold.
        """
        ...


class StripSide(Side):
    """The same encoder or decoder, exact to rounding, that holds its picture once and fills a cache at a time.

    A convolution reads rows that were normalised and activated into a window as large as a cache, and what it gives
    replaces what it read: nothing is computed twice, as it is where tiles overlap, and nothing is approximated, as a
    picture's moments are taken of all of it before it is normalised. So a whole picture of C channels takes the memory
    of one, or of two where a block keeps it for its shortcut. A part that needs its picture in one piece gets it so.
    On a CPU each of torch's threads takes a part of a picture that is large enough, and goes through a layer alone.

    Where windows are asked for, memory is short: then it holds even less, and computes twice what lies between two
    normalisations. Where a gradient of the input is wanted, it computes as the other does.
    """

    def __init__(self, *stages: Stage) -> None:
        super().__init__(*stages)
        self.division = Division()
        self._has_forms = False

    def divided(self, x_BCHW: Tensor, *, rows: int | None, tile: int | None) -> tuple[int, int | None]:
        """As was said, else as there is memory for."""
        if tile is not None or _wants_gradient(x_BCHW):
            return super().divided(x_BCHW, rows=rows, tile=tile)
        free = available_bytes(x_BCHW.device)
        if free is not None and x_BCHW.device.type == "cpu" and not self._has_forms:
            free = max(0, free - FORMS * sum(weight.nbytes for weight in self.parameters()))
        return self.division(
            count=len(x_BCHW),
            one_bytes=self.held_bytes(x_BCHW.shape[2], x_BCHW.shape[3]),
            side=max(x_BCHW.shape[2:]),
            free=free,
            rows=rows,
        )

    def held_bytes(self, height: int, width: int) -> int:
        """About as many as one picture of this size takes at most."""
        most = max(pixels * stage.held_channels for stage, pixels in self._stages_at(height, width))
        return (most + most // BESIDE) * self.dtype.itemsize

    def multiplications(self, height: int, width: int) -> int:
        """Of its convolutions, for one picture of this size."""
        return sum(pixels * stage.taps for stage, pixels in self._stages_at(height, width))

    def _stages_at(self, height: int, width: int) -> Iterator[tuple[Stage, int]]:
        """Each with the pixels of its finer resolution."""
        pixels = Fraction(height * width)
        for stage in self.stages:
            assert isinstance(stage, Stage)
            yield stage, int(pixels * max(stage.scale, Fraction(1)) ** 2)
            pixels *= stage.scale**2

    def forward(self, x_BCHW: Tensor, *, tile: int | None = None) -> Tensor:
        if not x_BCHW.numel() or _wants_gradient(x_BCHW):
            return super().forward(x_BCHW, tile=tile)
        picture = Picture.divided(x_BCHW, self._heights(x_BCHW) if tile is None else x_BCHW.shape[2:3])
        del x_BCHW  # so that nothing but the picture holds it
        for stage in self.stages:
            assert isinstance(stage, Stage)
            is_large = tile is not None and max(picture.height, picture.width) > tile
            if not is_large or _strips_only(stage):
                for part in stage.parts:
                    picture = _after(part, picture, lean=is_large)
            else:
                picture = picture.instead(stage.within(picture.whole(), tile=tile))
            tile = tile and int(tile * stage.scale)
        self._has_forms = True
        return picture.whole()

    def _heights(self, x_BCHW: Tensor) -> list[int]:
        """Rows of the parts, of which threads take one each, that all stages can halve as often as they do."""
        height, width = x_BCHW.shape[2:]
        grain = math.prod(stage.scale.denominator for stage in self.stages if isinstance(stage, Stage))
        threads = shares(multiplications=len(x_BCHW) * self.multiplications(height, width))
        if x_BCHW.device.type != "cpu" or height // grain < FEWEST_ROWS * threads:
            return [height]
        ends = [height // grain * place // threads * grain for place in range(threads)] + [height]
        return [bottom - top for top, bottom in pairwise(ends)]


def _wants_gradient(x_BCHW: Tensor) -> bool:
    return torch.is_grad_enabled() and x_BCHW.requires_grad


def _strips_only(stage: Stage) -> bool:
    """Whether nothing of it needs its picture in one piece, but for pixels that attend to each other."""
    return all(isinstance(part, StripPart | SelfAttention) for part in stage.parts)


def _after(part: nn.Module, picture: Picture, *, lean: bool) -> Picture:
    if isinstance(part, StripPart):
        return part.in_strips(picture, lean=lean)
    return picture.instead(part(picture.whole(), WHOLE))
