"""Exact, invertible changes between their tensors and ours. Legend: C channels, N heads, D head width."""

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


SAME = Same()
