"""A state dict that is in memory already, as `Tensors`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MemoryTensors:
    """Tensors by name, in memory."""

    tensors: Mapping[str, Tensor]
    place: str = "state dict"
    """Where they came from, for messages."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.tensors[name].shape)

    def dtype(self, name: str) -> torch.dtype:
        """Its type."""
        return self.tensors[name].dtype

    def read(self, name: str) -> Tensor:
        """The tensor itself, not a copy."""
        return self.tensors[name]

    def under(self, prefix: str) -> MemoryTensors:
        """Those whose names begin with `prefix`, without it."""
        chosen = {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}
        return MemoryTensors(chosen, self.place)
