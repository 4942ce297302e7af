"""Exact, invertible changes between their tensors and ours. Legend: C = N·D channels, N heads, D head width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Change(Protocol):
    """One way in which two programs keep the same numbers."""

    def read(self, theirs: Sequence[Tensor]) -> Tensor:
        """Ours of theirs."""
        ...

    def write(self, ours: Tensor) -> tuple[Tensor, ...]:
        """Theirs of ours."""
        ...


@dataclass(frozen=True)
class Same:
    """The same tensor."""

    def read(self, theirs: Sequence[Tensor]) -> Tensor:
        (tensor,) = theirs
        return tensor

    def write(self, ours: Tensor) -> tuple[Tensor, ...]:
        return (ours,)


@dataclass(frozen=True)
class Rows:
    """Ours holds the rows of `count` of theirs, one after another: one projection for queries, keys and values."""

    count: int

    def read(self, theirs: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(theirs))

    def write(self, ours: Tensor) -> tuple[Tensor, ...]:
        return ours.chunk(self.count)


@dataclass(frozen=True)
class Pointwise:
    """Theirs is a convolution with a kernel of one pixel, ours the linear layer that computes the same.

    Its weight has `dimensions` more axes, of length 1: (C_out, C_in, 1, 1) for two. A bias is the same on both sides.
    """

    dimensions: int = 2

    def read(self, theirs: Sequence[Tensor]) -> Tensor:
        (weight,) = theirs
        return weight.reshape(weight.shape[:2])

    def write(self, ours: Tensor) -> tuple[Tensor, ...]:
        return (ours.reshape(*ours.shape, *[1] * self.dimensions),)


@dataclass(frozen=True)
class HeadOrder:
    """One projection for queries, keys and values: theirs has rows (N, 3, D), head by head; ours (3, N, D).

    The "legacy" attention of guided-diffusion. For weights and biases alike, whose first axis has 3·C rows.
    """

    heads: int

    def read(self, theirs: Sequence[Tensor]) -> Tensor:
        (rows,) = theirs
        return _swapped(rows, self.heads, 3)

    def write(self, ours: Tensor) -> tuple[Tensor, ...]:
        return (_swapped(ours, 3, self.heads),)


@dataclass(frozen=True)
class Chain:
    """Each of theirs changed by `first`, which takes one tensor; the results by `second`. Written in reverse."""

    first: Change
    second: Change

    def read(self, theirs: Sequence[Tensor]) -> Tensor:
        return self.second.read([self.first.read([tensor]) for tensor in theirs])

    def write(self, ours: Tensor) -> tuple[Tensor, ...]:
        return tuple(theirs for tensor in self.second.write(ours) for theirs in self.first.write(tensor))


def _swapped(rows: Tensor, outer: int, inner: int) -> Tensor:
    """Rows in `outer` · `inner` groups, reordered with the inner count outside."""
    groups = rows.reshape(outer, inner, -1, *rows.shape[1:])
    return groups.transpose(0, 1).reshape(rows.shape)


SAME = Same()
