"""Layers that read a picture in strips, and give one; they let it go on the way.

Legend: B batch, C channels, H height, W width, R rows of a strip or a window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn import ReadyConv2d, give_back, ready_conv
from diffloom_autoencoder.moments import Moments
from diffloom_autoencoder.picture import Picture
from diffloom_autoencoder.strips import Filling, Remade, Strips, copied, windows


def layout_of(weight: Tensor) -> torch.memory_format:
    """How the pictures lie in memory that go with these weights: whoever laid these out has chosen."""
    last = weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def activated(norm: nn.GroupNorm, picture: Picture) -> Filling:
    """Writes SiLU(norm(rows)), by the moments of the whole picture, which is looked at here."""
    measured = picture.each(lambda part: [Moments.of_channels(strip_BCRW) for strip_BCRW in part])
    moments = Moments.together([*chain.from_iterable(measured)])
    scale_BC11, shift_BC11 = moments.grouped(norm.num_groups).affine(norm)

    def fill(rows_BCRW: Tensor, out_BCRW: Tensor) -> None:
        torch.addcmul(shift_BC11, rows_BCRW, scale_BC11, out=out_BCRW)
        functional.silu(out_BCRW, inplace=True)

    return fill


def rectified(rows_BCRW: Tensor, out_BCRW: Tensor) -> None:
    """Writes max(rows, 0)."""
    torch.clamp_min(rows_BCRW, 0, out=out_BCRW)


class StripConv2d(nn.Module):
    """A convolution for strips: `diffloom.nn.ready_conv` of rows that come with their neighbours."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """Shares the weights of `conv`. Where it has others for a while, these are convolved with, the plain way."""
        super().__init__()
        self._of = conv, conv.weight  # the block's: no part of this
        (self.size, _), (self.stride, _) = conv.kernel_size, conv.stride
        self.edge = self.size // 2
        self.widest = max(conv.in_channels, conv.out_channels)
        of_rows = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            self.size,
            stride=self.stride,
            padding=(0, self.edge),
            device="meta",
        )
        of_rows.weight, of_rows.bias = conv.weight, conv.bias
        self.ready: ReadyConv2d = ready_conv(of_rows)

    @property
    def layout(self) -> torch.memory_format:
        """How its pictures lie in memory."""
        conv, _ = self._of
        return torch.channels_last if self.ready.is_sorted else layout_of(conv.weight)

    def of(
        self, picture: Strips, filling: Filling = copied, *, plus: Strips | None = None
    ) -> Iterator[Tensor]:
        """What it makes of what `filling` makes of the picture, in the type of its weights; `plus` is added."""
        rows = picture.rows_for(self.widest)
        read = windows(
            picture,
            rows=rows + rows % 2,  # Winograd's way computes two at once
            filling=filling,
            size=self.size,
            stride=self.stride,
            edges=(self.edge, self.edge),
            layout=self.layout,
            dtype=self._of[0].weight.dtype,
        )
        for number, window_BCRW in enumerate(read, 1):
            given = (window_BCRW.shape[2] - self.size) // self.stride + 1
            yield self._convolved(window_BCRW, None if plus is None else plus.take(given))
            if picture.is_due(number):
                give_back()

    def of_pixels(self, picture: Strips) -> Iterator[Tensor]:
        """The same of a convolution of single pixels, which reads its strips as they are."""
        rows = picture.rows_for(self.widest)
        for _ in range(0, picture.height, rows + rows % 2):
            yield self._convolved(picture.take(rows + rows % 2), None)

    def again(self, picture: Strips, filling: Filling) -> Remade:
        """What `of` makes of the picture, made anew for whoever reads it; the picture stays for that."""
        return self._remade(picture, lambda: self.of(picture.kept(), filling))

    def pixels_later(self, picture: Strips) -> Remade:
        """What `of_pixels` makes of the picture, once, when it is read."""
        return self._remade(picture, lambda: self.of_pixels(picture))

    def _remade(self, picture: Strips, make: Callable[[], Iterator[Tensor]]) -> Remade:
        weight = self._of[0].weight
        shape = (picture.batch, len(weight), picture.height, picture.width)
        return Remade(make, shape=shape, dtype=weight.dtype, device=picture.device)

    def _convolved(self, window_BCRW: Tensor, plus_BCRW: Tensor | None) -> Tensor:
        conv, known = self._of
        if conv.weight is known:
            out_BCRW: Tensor = self.ready(window_BCRW, plus_BOHW=plus_BCRW)
            return out_BCRW
        out_BCRW = functional.conv2d(
            window_BCRW, conv.weight, conv.bias, stride=self.stride, padding=(0, self.edge)
        )
        return out_BCRW if plus_BCRW is None else out_BCRW.add_(plus_BCRW)


def doubled(folded: nn.ConvTranspose2d, picture: Strips) -> Iterator[Tensor]:
    """What a convolution folded with a doubling (`diffloom.nn.doubling`) makes of the picture."""
    rows = max(1, picture.rows_for(folded.out_channels, width=2 * picture.width) // 2)
    for window_BCRW in windows(picture, rows=rows, layout=layout_of(folded.weight)):
        # Of R + 2 rows, 2·R in the middle have all their neighbours: the padding cuts the others off.
        yield functional.conv_transpose2d(window_BCRW, folded.weight, folded.bias, stride=2, padding=(3, 1))


def doubled_again(folded: nn.ConvTranspose2d, picture: Strips) -> Remade:
    """The same, made anew for whoever reads it; the picture stays for that."""
    return Remade(
        lambda: doubled(folded, picture.kept()),
        shape=(picture.batch, folded.out_channels, 2 * picture.height, 2 * picture.width),
        dtype=folded.weight.dtype,
        device=picture.device,
    )


def halved(conv: nn.Conv2d, picture: Strips, *, edges: tuple[int, int, int, int]) -> Iterator[Tensor]:
    """What a convolution of stride 2 makes of the picture with edges of zeros: left, right, top and bottom."""
    left, right, top, bottom = edges
    rows = max(1, picture.rows_for(conv.in_channels) // 2)
    for window_BCRW in windows(
        picture, rows=rows, stride=2, edges=(top, bottom), layout=layout_of(conv.weight)
    ):
        padded_BCRW = functional.pad(window_BCRW, (left, right))
        yield functional.conv2d(padded_BCRW, conv.weight, conv.bias, stride=2)
