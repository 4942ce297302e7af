"""An encoder or a decoder that draws no gradients: strip by strip. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from diffloom.nn import SelfAttention, available_bytes
from diffloom_autoencoder.extent import WHOLE
from diffloom_autoencoder.room import Division
from diffloom_autoencoder.stage import Side, Stage
from diffloom_autoencoder.strips import Strips

BESIDE = 4
"""Of its widest picture, one part in so many lies beside it: windows, what convolutions need inside."""


@runtime_checkable
class StripPart(Protocol):
    """A part that can read and give strips."""

    def in_strips(self, picture: Strips, *, lean: bool) -> Strips:
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

    Where windows are asked for, memory is short: then it holds even less, and computes twice what lies between two
    normalisations. Where a gradient of the input is wanted, it computes as the other does.
    """

    def __init__(self, *stages: Stage) -> None:
        super().__init__(*stages)
        self.division = Division()

    def divided(self, x_BCHW: Tensor, *, rows: int | None, tile: int | None) -> tuple[int, int | None]:
        """As was said, else as there is memory for."""
        if tile is not None or _wants_gradient(x_BCHW):
            return super().divided(x_BCHW, rows=rows, tile=tile)
        return self.division(
            count=len(x_BCHW),
            one_bytes=self.held_bytes(x_BCHW.shape[2], x_BCHW.shape[3]),
            side=max(x_BCHW.shape[2:]),
            free=available_bytes(x_BCHW.device),
            rows=rows,
        )

    def held_bytes(self, height: int, width: int) -> int:
        """About as many as one picture of this size takes at most."""
        pixels, most = Fraction(height * width), 0
        for stage in self.stages:
            assert isinstance(stage, Stage)
            most = max(most, int(pixels * max(stage.scale, Fraction(1)) ** 2) * stage.held_channels)
            pixels *= stage.scale**2
        return (most + most // BESIDE) * self.dtype.itemsize

    def forward(self, x_BCHW: Tensor, *, tile: int | None = None) -> Tensor:
        if not x_BCHW.numel() or _wants_gradient(x_BCHW):
            return super().forward(x_BCHW, tile=tile)
        picture = Strips([x_BCHW])
        del x_BCHW  # so that nothing but the picture holds it
        for stage in self.stages:
            assert isinstance(stage, Stage)
            is_large = tile is not None and max(picture.height, picture.width) > tile
            if not is_large or _strips_only(stage):
                for part in stage.parts:
                    picture = _after(part, picture, lean=is_large)
            else:
                picture = Strips([stage.within(picture.whole(), tile=tile)])
            tile = tile and int(tile * stage.scale)
        return picture.whole()


def _wants_gradient(x_BCHW: Tensor) -> bool:
    return torch.is_grad_enabled() and x_BCHW.requires_grad


def _strips_only(stage: Stage) -> bool:
    """Whether nothing of it needs its picture in one piece, but for pixels that attend to each other."""
    return all(isinstance(part, StripPart | SelfAttention) for part in stage.parts)


def _after(part: nn.Module, picture: Strips, *, lean: bool) -> Strips:
    if isinstance(part, StripPart):
        return part.in_strips(picture, lean=lean)
    return Strips([part(picture.whole(), WHOLE)])
