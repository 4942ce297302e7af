"""Layers that read a picture in strips, and give one; they let it go on the way.

Legend: B batch, C channels, H height, W width, R rows of a strip or a window.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom_autoencoder.moments import Moments
from diffloom_autoencoder.strips import Filling, Strips, copied, windows


def layout_of(weight: Tensor) -> torch.memory_format:
    """How the pictures lie in memory that go with these weights: whoever laid these out has chosen."""
    last = weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def activated(norm: nn.GroupNorm, picture: Strips) -> Filling:
    """Writes SiLU(norm(rows)), by the moments of the whole picture, which is looked at here."""
    moments = Moments.together([Moments.of_channels(strip_BCRW) for strip_BCRW in picture])
    scale_BC11, shift_BC11 = moments.grouped(norm.num_groups).affine(norm)

    def fill(rows_BCRW: Tensor, out_BCRW: Tensor) -> None:
        torch.addcmul(shift_BC11, rows_BCRW, scale_BC11, out=out_BCRW)
        functional.silu(out_BCRW, inplace=True)

    return fill


def rectified(rows_BCRW: Tensor, out_BCRW: Tensor) -> None:
    """Writes max(rows, 0)."""
    torch.clamp_min(rows_BCRW, 0, out=out_BCRW)


def convolved(conv: nn.Conv2d, picture: Strips, filling: Filling = copied) -> Iterator[Tensor]:
    """What the convolution makes of what `filling` makes of the picture, in the type of its weights."""
    (size, _), (stride, _) = conv.kernel_size, conv.stride
    edge = size // 2
    rows = picture.rows_for(max(conv.in_channels, conv.out_channels))
    for window_BCRW in windows(
        picture,
        rows=rows,
        filling=filling,
        size=size,
        stride=stride,
        edges=(edge, edge),
        layout=layout_of(conv.weight),
        dtype=conv.weight.dtype,
    ):
        yield functional.conv2d(window_BCRW, conv.weight, conv.bias, stride=stride, padding=(0, edge))


def projected(conv: nn.Conv2d, picture: Strips) -> Iterator[Tensor]:
    """What a convolution of single pixels makes of the picture."""
    rows = picture.rows_for(max(conv.in_channels, conv.out_channels))
    for _ in range(0, picture.height, rows):
        yield functional.conv2d(picture.take(rows), conv.weight, conv.bias)


def doubled(folded: nn.ConvTranspose2d, picture: Strips) -> Iterator[Tensor]:
    """What a convolution folded with a doubling (`diffloom.nn.doubling`) makes of the picture."""
    rows = max(1, picture.rows_for(folded.out_channels, width=2 * picture.width) // 2)
    for window_BCRW in windows(picture, rows=rows, layout=layout_of(folded.weight)):
        # Of R + 2 rows, 2·R in the middle have all their neighbours: the padding cuts the others off.
        yield functional.conv_transpose2d(window_BCRW, folded.weight, folded.bias, stride=2, padding=(3, 1))


def halved(conv: nn.Conv2d, picture: Strips, *, edges: tuple[int, int, int, int]) -> Iterator[Tensor]:
    """What a convolution of stride 2 makes of the picture with edges of zeros: left, right, top and bottom."""
    left, right, top, bottom = edges
    rows = max(1, picture.rows_for(conv.in_channels) // 2)
    for window_BCRW in windows(
        picture, rows=rows, stride=2, edges=(top, bottom), layout=layout_of(conv.weight)
    ):
        padded_BCRW = functional.pad(window_BCRW, (left, right))
        yield functional.conv2d(padded_BCRW, conv.weight, conv.bias, stride=2)
