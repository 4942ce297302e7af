"""3×3 convolutions with 4/9 of the multiplications (Winograd 1980; Lavin & Gray 2016, section 4.1: F(2×2, 3×3)).

Two neighbouring outputs of a kernel of three taps, a₀k₀ + a₁k₁ + a₂k₂ and a₁k₀ + a₂k₁ + a₃k₂, take four products
instead of six, of sums of inputs with sums of taps; a square of four outputs takes 16 instead of 36. Over all channels
and squares these are 16 products of matrices. Torch's operations on whole pictures would spend on moving the sums what
the products gain, so pictures are taken in bands whose sums stay in the processor's cache.

Legend: B batch, I channels in, O channels out, H height, W width; n pictures, b rows and w columns of a band, in
squares of 2×2 pixels, X all its squares; u and v are a product's place in the 4×4, and 2 is which of two neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn.ready_conv import ReadyConv2d

G_43 = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
"""The sums of taps: Lavin & Gray 2016, eq. 9."""
CACHED_BYTES = 3 * 2**20
"""What a band takes for each thread. Of 0.5 to 9 MiB, 1 to 4 were fastest in every layer measured (2 MiB of cache)."""
CHANNELS = 128
"""Fewer in or out, and there is too little to multiply for what the sums cost."""
WORTHWHILE = 4 * 2**20
"""Channels in, times channels out, times squares: with fewer, calling torch costs what the products gain."""
CLEARLY_FASTER = 1.25
"""What a layer of 256 channels must gain on a machine for layers to be computed so: others gain less. On two Xeon
cores one thread gained 1.4, and a U-Net 1.3; two threads gained 1.13, and the same U-Net lost."""


class WinogradConv2d(ReadyConv2d):
    """A 3×3 convolution of stride 1, its weights taken as 16 matrices: 16/9 of their memory, once used. Its padding is
    1, or above and below 0, for rows that come with their neighbours.

    The result is that of a direct convolution to rounding, and no further from the truth: it sums fewer products. Few
    pixels are convolved as in `direct`, another form of the same convolution, and all are where torch has another
    number of threads than one of `threads`: these are told where it is faster with some alone.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        direct: Callable[[nn.Conv2d], ReadyConv2d],
        threads: Collection[int] | None = None,
    ) -> None:
        super().__init__(conv)
        assert winograd_fits(conv), conv
        self._conv, self._direct, self._threads = conv, direct, threads

    @property
    def weight(self) -> Tensor:
        return self._conv.weight

    @property
    def _pays_here(self) -> bool:
        if type(self.weight) is not nn.Parameter:  # a plan's, which is of threads that have rows each
            return True
        return self._threads is None or torch.get_num_threads() in self._threads

    @cached_property
    def direct(self) -> ReadyConv2d:
        """The other form, made when it is needed: a layer that sees pictures of one size needs one of the two."""
        return self._direct(self._conv)

    @cached_property
    def kernels(self) -> tuple[Tensor, ...]:
        """The sums of taps, (v, I, O) for each u; those of u = 3 with their sign changed, as they are subtracted."""
        weight_OI33 = self.weight
        g_43 = torch.tensor(G_43, dtype=torch.float64, device=weight_OI33.device)
        kernel_uvIO = torch.einsum("us,oist,vt->uvio", g_43, weight_OI33.double(), g_43)
        kernel_uvIO[3].neg_()
        return kernel_uvIO.to(weight_OI33.dtype).contiguous().unbind(0)

    def computed(
        self, x_BIHW: Tensor, bias: Tensor | None, plus_BOHW: Tensor | None, *, silu: bool = False
    ) -> Tensor:
        outer, inner = self.weight.shape[:2]
        batch, _, given, width = x_BIHW.shape
        edge = self.padding[0]
        height = given - 2 + 2 * edge
        if not self._pays_here or batch * height * width * inner * outer < 4 * WORTHWHILE:
            return self.direct.computed(x_BIHW, bias, plus_BOHW, silu=silu)
        if type(self.kernels[0]) is not Tensor:  # a plan's, without numbers: one operation for thousands
            return self._plain(functional.silu(x_BIHW) if silu else x_BIHW, None, plus_BOHW)
        if height % 2 or width % 2:
            even_BIHW = functional.pad(x_BIHW, (0, width % 2, 0, height % 2))
            out_BOHW = self.computed(even_BIHW, bias, None, silu=silu)[:, :, :height, :width]
            return out_BOHW.clone() if plus_BOHW is None else out_BOHW + plus_BOHW
        return convolved_in_bands(x_BIHW, self.kernels, bias, plus_BOHW, silu=silu, edge=edge)


def convolved_in_bands(
    x_BIHW: Tensor,
    kernels: Sequence[Tensor],
    bias: Tensor | None = None,
    plus_BOHW: Tensor | None = None,
    *,
    silu: bool = False,
    edge: int = 1,
) -> Tensor:
    """conv(silu(x)) + bias + plus, of even height and width, in fresh memory; `WinogradConv2d.kernels` are such.

    Above and below x there is an `edge` of 1 or 0 rows of zeros.
    """
    inner, outer = kernels[0].shape[1:]
    height, width = x_BIHW.shape[2] - 2 + 2 * edge, x_BIHW.shape[3]
    x_BHWI = x_BIHW.permute(0, 2, 3, 1)
    plus_BHWO = None if plus_BOHW is None else plus_BOHW.permute(0, 2, 3, 1)
    out_BHWO = x_BHWI.new_empty(len(x_BHWI), height, width, outer)
    square_bytes = (6 * inner + 12 * outer) * x_BHWI.element_size()
    bands: dict[torch.Size, _Band] = {}
    for some, pixels, window_nh2wI in windows(x_BHWI, square_bytes=square_bytes, silu=silu, edge=edge):
        size = window_nh2wI.shape
        if size not in bands:
            bands[size] = _Band(kernels, pictures=size[0], rows=size[1] // 2 - 1, columns=width // 2)
        bands[size].convolve(
            window_nh2wI,
            bias,
            None if plus_BHWO is None else squares(plus_BHWO[some, pixels]),
            out=squares(out_BHWO[some, pixels]),
        )
    return out_BHWO.permute(0, 3, 1, 2)


def windows(
    x_BHWI: Tensor, *, square_bytes: int, silu: bool = False, edge: int = 1
) -> Iterator[tuple[slice, slice, Tensor]]:
    """The bands of pictures that are computed at once, where a square needs so many bytes in the cache.

    Each is which pictures it is of, which rows of them, and these rows with the zeros or neighbours all around, even
    columns before odd ones: (n, h, 2, w, I), in memory that the next one overwrites.
    """
    batch, given, width, inner = x_BHWI.shape
    height = given - 2 + 2 * edge
    pictures, rows = _band(batch, height // 2, row_bytes=width // 2 * square_bytes)
    padded_nh2wI = x_BHWI.new_empty(pictures, height + 2, 2, width // 2 + 1, inner)
    for border in (
        padded_nh2wI[:, :edge],
        padded_nh2wI[:, edge + given :],
        padded_nh2wI[:, :, 0, 0],
        padded_nh2wI[:, :, 1, -1],
    ):
        border.zero_()
    for first in range(0, batch, pictures):
        some = slice(first, first + pictures)
        padded_nh2wI = padded_nh2wI[: len(x_BHWI[some])]
        _fill(padded_nh2wI[:, edge : edge + given], x_BHWI[some], silu=silu)
        for top in range(0, height // 2, rows):
            yield (
                some,
                slice(2 * top, 2 * (top + rows)),
                padded_nh2wI[:, 2 * top : 2 * (top + rows) + 2],
            )


def _band(batch: int, rows: int, *, row_bytes: int) -> tuple[int, int]:
    """How many pictures, and how many rows of their squares, are computed at once."""
    most_rows = max(1, CACHED_BYTES * torch.get_num_threads() // row_bytes)
    if most_rows >= rows:
        return min(batch, most_rows // rows), rows
    return 1, -(-rows // -(-rows // most_rows))  # bands of one height, or nearly


class Sums:
    """The memory for the sums of a band's inputs, and the views of it that are worked with."""

    def __init__(self, example: Tensor, *, pictures: int, rows: int, columns: int, inner: int) -> None:
        self.row_nb2wI = example.new_empty(pictures, rows, 2, columns + 1, inner)
        even, odd = self.row_nb2wI.unbind(2)
        self.columns = even[:, :, :-1], odd[:, :, :-1], even[:, :, 1:], odd[:, :, 1:]
        sums_vnbwI = example.new_empty(4, pictures, rows, columns, inner)
        self.sums, self.factors_vXI = sums_vnbwI.unbind(0), sums_vnbwI.flatten(1, 3)

    def of_columns(self) -> Tensor:
        """What one sum of rows is multiplied as: the sums of its columns."""
        (a, b, c, d), (first, second, third, fourth) = self.columns, self.sums
        torch.sub(a, c, out=first)
        torch.add(b, c, out=second)
        torch.sub(c, b, out=third)
        torch.sub(b, d, out=fourth)
        return self.factors_vXI


class _Band(Sums):
    """The memory that bands of one size are computed in."""

    def __init__(self, kernels: Sequence[Tensor], *, pictures: int, rows: int, columns: int) -> None:
        inner, outer = kernels[0].shape[1:]
        super().__init__(kernels[0], pictures=pictures, rows=rows, columns=columns, inner=inner)
        new = kernels[0].new_empty
        self.kernels = kernels
        self.products_vXO = [new(4, pictures * rows * columns, outer) for _ in range(3)]
        upper, lower, _ = self.products_vXO
        self.halves = [
            product.view(4, pictures, rows, columns, outer).unbind(0) for product in (upper, lower)
        ]

    def convolve(
        self, window_nh2wI: Tensor, bias: Tensor | None, plus_22nbwO: Tensor | None, *, out: Tensor
    ) -> None:
        """Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A + bias + plus for every square (eq. 8 and 9), written to `out`."""
        a, b, c, d = rows_of(window_nh2wI)
        row, (upper, lower, other) = self.row_nb2wI, self.products_vXO
        torch.add(b, c, out=row)
        torch.bmm(self.of_columns(), self.kernels[1], out=upper)
        if bias is not None:
            upper[1] += bias  # of the 16 products this one is in every pixel, with a plus
        torch.sub(c, b, out=row)
        torch.bmm(self.of_columns(), self.kernels[2], out=other)
        torch.sub(upper, other, out=lower)
        upper += other
        torch.sub(a, c, out=row)
        torch.baddbmm(upper, self.of_columns(), self.kernels[0], out=upper)
        torch.sub(b, d, out=row)
        torch.baddbmm(lower, self.of_columns(), self.kernels[3], out=lower)
        for half in range(2):
            left, right, third, fourth = self.halves[half]
            left.add_(right)
            right.sub_(third)
            if plus_22nbwO is not None:
                left.add_(plus_22nbwO[half, 0])
                right.add_(plus_22nbwO[half, 1])
            torch.add(left, third, out=out[half, 0])
            torch.sub(right, fourth, out=out[half, 1])


def _fill(rows_nH2wI: Tensor, x_nHWI: Tensor, *, silu: bool) -> None:
    """Put pictures between the zeros on both sides, their even columns before their odd ones."""
    for place, columns in (
        (rows_nH2wI[:, :, 1, :-1], x_nHWI[:, :, 0::2]),
        (rows_nH2wI[:, :, 0, 1:], x_nHWI[:, :, 1::2]),
    ):
        if silu:
            torch.ops.aten.silu.out(columns, out=place)
        else:
            place.copy_(columns)


def rows_of(window_nh2wI: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four rows that each square is computed of, for all squares: (n, b, 2, w, I) each, views."""
    first, second, third, fourth = (
        window_nh2wI[:, start : start + window_nh2wI.shape[1] - 3 : 2] for start in range(4)
    )
    return first, second, third, fourth


def squares(x_nhWO: Tensor) -> Tensor:
    """A picture's pixels by their row and column in their square: (2, 2, n, b, w, O), a view."""
    pictures, height, width, channels = x_nhWO.shape
    return x_nhWO.view(pictures, height // 2, 2, width // 2, 2, channels).permute(2, 4, 0, 1, 3, 5)


def winograd_fits(conv: nn.Conv2d) -> bool:
    """Whether it is a convolution that can be computed so."""
    told = (conv.kernel_size, conv.stride, conv.dilation, conv.groups, conv.padding_mode)
    return told == ((3, 3), (1, 1), (1, 1), 1, "zeros") and conv.padding in {(1, 1), (0, 1)}


def winograd_pays(conv: nn.Conv2d, *, threads: int) -> bool:
    """Whether it is faster so on this machine, with 1 thread or as many as torch has here: a layer that is wide enough,
    by what was measured there."""
    return (
        winograd_fits(conv)
        and conv.weight.dtype == torch.float32
        and min(conv.in_channels, conv.out_channels) >= CHANNELS
        and winograd_is_faster(conv.weight.device, threads=threads)
    )


def winograd_is_faster(device: torch.device, *, threads: int) -> bool:
    """Whether wide layers in float32 were measured to be faster so, with 1 thread or as many as torch has here."""
    from diffloom.inference.gains import gains

    return device.type == "cpu" and gains(device, threads=threads).winograd >= CLEARLY_FASTER
