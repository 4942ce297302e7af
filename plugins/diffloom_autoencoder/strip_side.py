"""An encoder or a decoder that draws no gradients: strip by strip. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from diffloom.nn import Downsample
from diffloom_autoencoder.extent import WHOLE
from diffloom_autoencoder.stage import Side
from diffloom_autoencoder.strip_layers import halved
from diffloom_autoencoder.strips import Strips


@runtime_checkable
class StripPart(Protocol):
    """A part that can read and give strips."""

    def in_strips(self, picture: Strips) -> Strips:
        """What it makes of the picture, whose strips are let go on the way."""
        ...


class StripSide(Side):
    """The same encoder or decoder, exact to rounding, that holds its picture once and fills a cache at a time.

    A convolution reads rows that were normalised and activated into a window as large as a cache, and what it gives
    replaces what it read: nothing is computed twice, as it is where tiles overlap, and nothing is approximated, as a
    picture's moments are taken of all of it before it is normalised. So a whole picture of C channels takes the memory
    of one, or of two where a block keeps it for its shortcut. A part that needs its picture in one piece gets it so.

    Where a gradient of the input is wanted, or tiles are, it computes as the other does.
    """

    def forward(self, x_BCHW: Tensor, *, tile: int | None = None) -> Tensor:
        if tile is not None or not x_BCHW.numel() or (torch.is_grad_enabled() and x_BCHW.requires_grad):
            return super().forward(x_BCHW, tile=tile)
        picture = Strips([x_BCHW])
        del x_BCHW  # so that nothing but the picture holds it
        for stage in self.stages:
            for part in stage.parts:  # type: ignore[union-attr]
                picture = _after(part, picture)
        return picture.whole()


def _after(part: nn.Module, picture: Strips) -> Strips:
    if isinstance(part, StripPart):
        return part.in_strips(picture)
    if isinstance(part, Downsample):
        return Strips(halved(part, picture))
    return Strips([part(picture.whole(), WHOLE)])
