"""Named tensors in files: shapes at once, numbers one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor


class Tensors(Protocol):
    """The tensors of a file, of several, or of a part of them."""

    @property
    def place(self) -> str:
        """Where they are, for messages."""
        ...

    def __iter__(self) -> Iterator[str]: ...

    def __len__(self) -> int: ...

    def __contains__(self, name: object) -> bool: ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Its shape, without reading it."""
        ...

    def dtype(self, name: str) -> torch.dtype:
        """Its type, without reading it."""
        ...

    def read(self, name: str) -> Tensor:
        """The tensor, on the CPU; mapped from the file where that is possible."""
        ...

    def under(self, prefix: str) -> Tensors:
        """Those whose names begin with `prefix`, without it."""
        ...
