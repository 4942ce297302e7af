"""The sums of taps of `diffloom.nn.winograd`, made anew at each step of training, and gone back through.

Legend: I channels in, O channels out, Y all pairs of them; u and v are a product's place in the 4×4.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from diffloom.nn.winograd import G_43

MANY = 1024
"""Squares of 2×2 pixels from which it pays to write the sums in the order that products with them are fastest in: 16
pictures of 16×16. For 16 pictures of 4×4 the writing takes longer than the products."""


@cache
def _from_taps(dtype: torch.dtype, *, turned: bool) -> Tensor:
    """(16, 9): G ⊗ G, whose rows of u = 3 have their sign changed, as `WinogradConv2d.kernels` have it."""
    g_43 = _g(dtype).flip(1) if turned else _g(dtype)
    return torch.einsum("us,vt->uvst", _signed(g_43), g_43).reshape(16, 9)


@cache
def _from_sums(dtype: torch.dtype) -> Tensor:
    """(16, 9): the same with the sign of v = 3 changed too."""
    g_43 = _signed(_g(dtype))
    return torch.einsum("us,vt->uvst", g_43, g_43).reshape(16, 9)


def _g(dtype: torch.dtype) -> Tensor:
    return torch.tensor(G_43, dtype=dtype, device="cpu")


def _signed(g_43: Tensor) -> Tensor:
    return torch.cat([g_43[:3], -g_43[3:]])


def _sums_of_taps(weight_OI33: Tensor, *, turned: bool) -> Tensor:
    """(16, O, I)."""
    outer, inner = weight_OI33.shape[:2]
    taps_9Y = weight_OI33.reshape(outer * inner, 9).t()
    return (_from_taps(weight_OI33.dtype, turned=turned) @ taps_9Y).view(16, outer, inner)


def kernels(weight_OI33: Tensor, *, squares: int) -> tuple[Tensor, ...]:
    """The sums of taps as `WinogradConv2d.kernels`: (v, I, O) for each u; `squares` are to be convolved."""
    sums_16OI = _sums_of_taps(weight_OI33, turned=False)
    if squares < MANY:
        return _by_rows(sums_16OI.transpose(1, 2))
    kernel_16IO = torch.empty_like(sums_16OI).view(16, *sums_16OI.shape[:0:-1])
    for kernel_IO, sum_OI in zip(kernel_16IO, sums_16OI, strict=True):
        kernel_IO.copy_(sum_OI.t())  # torch turns one matrix over by blocks, but a stack number by number
    return _by_rows(kernel_16IO)


def turned_kernels(weight_OI33: Tensor) -> tuple[Tensor, ...]:
    """The same for the convolution from what went out to what came in, every kernel turned about its middle."""
    return _by_rows(_sums_of_taps(weight_OI33, turned=True))


def slope_of_taps(slope_uvOI: Tensor) -> Tensor:
    """(O, I, 3, 3): Gᵀ (…) G, the gradient of the taps by that of their sums, v = 3 being subtracted as u = 3 is."""
    outer, inner = slope_uvOI.shape[2:]
    taps_Y9 = slope_uvOI.view(16, outer * inner).t() @ _from_sums(slope_uvOI.dtype)
    return taps_Y9.view(outer, inner, 3, 3)


def _by_rows(kernel_16IO: Tensor) -> tuple[Tensor, ...]:
    return tuple(kernel_16IO[u : u + 4] for u in range(0, 16, 4))
