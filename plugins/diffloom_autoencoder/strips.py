"""A picture as strips, one below another, and what reads them in order.

A network that works strip by strip holds its picture once, not once for every operation: a strip is let go as soon as
what is made of it is there, and what lies between fits a processor's cache. Legend: B batch, C channels, H height,
W width, R rows of a strip or a window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

STRIP_BYTES = {"cpu": 2 * 2**20}
"""Of a strip, by the kind of device: on a CPU little enough that what is made of it is read again from its caches, and
enough for a convolution to be worth laying its weights out, as oneDNN does at every call. 2 to 16 MiB took the same
time within 3 %, 1 MiB 10 % more.
"""
OTHER_STRIP_BYTES = 256 * 2**20
"""Of a strip on any other device, where small pieces of work would each wait to be launched."""
LARGE_BYTES = 128 * 2**20
"""Of a picture so large, memory that its strips leave is given back strip by strip."""
LARGE_PART_BYTES, PART_STRIPS = 32 * 2**20, 6
"""Of a part so large, every so many strips: a thread takes from the others, too, what they would have used again.
Decoding 512 pixels a side in two threads took 410 MiB where nothing was given back, 330 MiB and 7 % more time so, and
290 MiB and 20 % more time strip by strip.
"""

Filling = Callable[[Tensor, Tensor], object]
"""Writes what is made of some rows into the second tensor, of the same shape."""


def copied(rows_BCRW: Tensor, out_BCRW: Tensor) -> None:
    """The rows as they are."""
    out_BCRW.copy_(rows_BCRW)


def rows_for(batch: int, channels: int, width: int, dtype: torch.dtype, device: torch.device) -> int:
    """Rows of a strip."""
    room = STRIP_BYTES.get(device.type, OTHER_STRIP_BYTES)
    return max(1, room // max(1, batch * channels * width * dtype.itemsize))


class Strips:
    """A picture (B, C, H, W) or a part of one, its strips from the top. Reading lets them go unless they are `kept`."""

    above: Tensor | None = None
    """The row of the picture above a part, None where the picture begins: there a convolution reads zeros."""
    below: Tensor | None = None
    """The row below it."""

    def __init__(self, strips: Iterable[Tensor]) -> None:
        self._strips = deque(strips)
        first = self._strips[0]
        self.batch, self.channels, _, self.width = first.shape
        self.height = sum(strip.shape[2] for strip in self._strips)
        self.dtype, self.device = first.dtype, first.device

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._strips)

    def is_due(self, strip: int) -> bool:
        """Whether what its strips leave behind is worth giving back after the one of this number, the first of 1."""
        is_part = self.above is not None or self.below is not None
        large, every = (LARGE_PART_BYTES, PART_STRIPS) if is_part else (LARGE_BYTES, 1)
        numbers = self.batch * self.channels * self.height * self.width
        return self.device.type == "cpu" and numbers * self.dtype.itemsize >= large and strip % every == 0

    def rows_for(self, channels: int, *, width: int | None = None) -> int:
        """Rows of a strip of something made of this picture, of so many channels."""
        return rows_for(self.batch, channels, width or self.width, self.dtype, self.device)

    def kept(self) -> Strips:
        """The same strips, to be read while this keeps them."""
        kept = Strips(self._strips)
        kept.above, kept.below = self.above, self.below
        return kept

    def first_row(self) -> Tensor:
        """For a part above: (B, C, 1, W), a copy."""
        return self._strips[0][:, :, :1].clone()

    def last_row(self) -> Tensor:
        """For a part below."""
        return self._strips[-1][:, :, -1:].clone()

    def let_go(self) -> list[Tensor]:
        """All strips, no longer held here."""
        strips = [*self._strips]
        self._strips.clear()
        return strips

    def whole(self) -> Tensor:
        """The picture in one piece; the strips are let go."""
        strips = self.let_go()
        return strips[0] if len(strips) == 1 else torch.cat(strips, dim=2)

    def take(self, rows: int) -> Tensor:
        """The next rows; no copy where they are one strip."""
        pieces = list(self._pieces(rows))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=2)

    def begin(self, out_BCRW: Tensor, filling: Filling) -> None:
        """Write what is above the first row to `out`, of one row or none."""
        _beyond(self.above, out_BCRW, filling)

    def fill(self, out_BCRW: Tensor, filling: Filling) -> None:
        """Write the next rows to `out`, and behind the last the one below it."""
        top = 0
        for piece_BCRW in self._pieces(out_BCRW.shape[2]):
            bottom = top + piece_BCRW.shape[2]
            filling(piece_BCRW, out_BCRW[:, :, top:bottom])
            top = bottom
        _beyond(self.below, out_BCRW[:, :, top:], filling)

    def _next(self) -> Tensor | None:
        """The strip whose turn it is, no longer held here."""
        return self._strips.popleft() if self._strips else None

    def _pieces(self, rows: int) -> Iterator[Tensor]:
        while rows and (strip_BCRW := self._next()) is not None:
            taken_BCRW, rest_BCRW = strip_BCRW[:, :, :rows], strip_BCRW[:, :, rows:]
            if rest_BCRW.shape[2]:
                self._strips.appendleft(rest_BCRW)
            rows -= taken_BCRW.shape[2]
            del strip_BCRW, rest_BCRW
            yield taken_BCRW


def _beyond(row_BC1W: Tensor | None, out_BCRW: Tensor, filling: Filling) -> None:
    if row_BC1W is None:
        out_BCRW.zero_()
    elif out_BCRW.shape[2]:
        filling(row_BC1W, out_BCRW)


class Remade(Strips):
    """A picture that is made anew whenever it is read, and never held: who reads it twice has it computed twice."""

    def __init__(
        self,
        make: Callable[[], Iterator[Tensor]],
        *,
        shape: tuple[int, int, int, int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._make, self._shape = make, shape
        self._strips, self._made = deque[Tensor](), make()
        self.batch, self.channels, self.height, self.width = shape
        self.dtype, self.device = dtype, device

    def __iter__(self) -> Iterator[Tensor]:
        return self._make()

    def kept(self) -> Strips:
        """The same picture, made once more."""
        return Remade(self._make, shape=self._shape, dtype=self.dtype, device=self.device)

    def whole(self) -> Tensor:
        """The picture in one piece."""
        return torch.cat(list(self._make()), dim=2)

    def _next(self) -> Tensor | None:
        return self._strips.popleft() if self._strips else next(self._made, None)


def windows(
    picture: Strips,
    *,
    rows: int,
    filling: Filling = copied,
    size: int = 3,
    stride: int = 1,
    edges: tuple[int, int] = (1, 1),
    layout: torch.memory_format = torch.channels_last,
    dtype: torch.dtype | None = None,
) -> Iterator[Tensor]:
    """What a convolution of `size` pixels reads for every `rows` rows of what it gives: (B, C, R, W).

    `edges` are the rows above and below the picture, or part, that it reads too. A row that two windows share is made
    once. A window is overwritten by the next. They have the picture's type, or this one.

    Where pictures lie in memory pixel by pixel (`channels_last`), a strip of one of them is one piece.
    """
    shared, (above, below) = size - stride, edges
    given = (picture.height + above + below - size) // stride + 1
    window_BCRW: Tensor | None = None
    for top in range(0, given, rows):
        high = (min(rows, given - top) - 1) * stride + size
        if window_BCRW is None:
            shape = (picture.batch, picture.channels, high, picture.width)
            window_BCRW = torch.empty(
                shape, dtype=dtype or picture.dtype, device=picture.device, memory_format=layout
            )
            picture.begin(window_BCRW[:, :, :above], filling)
            picture.fill(window_BCRW[:, :, above:], filling)
        else:
            window_BCRW[:, :, :shared] = window_BCRW[:, :, window_BCRW.shape[2] - shared :].clone()
            window_BCRW = window_BCRW[:, :, :high]
            picture.fill(window_BCRW[:, :, shared:], filling)
        yield window_BCRW
