"""Tensors under other names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from diffloom.bridge.tensors import Tensors


@dataclass(frozen=True)
class RenamedTensors:
    """Some tensors of another set, by new names."""

    whole: Tensors
    names: Mapping[str, str]
    """New name → the name in `whole`."""

    @property
    def place(self) -> str:
        """Where they are, for messages."""
        return self.whole.place

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def shape(self, name: str) -> tuple[int, ...]:
        """Its shape."""
        return self.whole.shape(self.names[name])

    def dtype(self, name: str) -> torch.dtype:
        """Its type."""
        return self.whole.dtype(self.names[name])

    def read(self, name: str) -> Tensor:
        """The tensor."""
        return self.whole.read(self.names[name])

    def under(self, prefix: str) -> RenamedTensors:
        """Those whose names begin with `prefix`, without it."""
        chosen = {n.removeprefix(prefix): o for n, o in self.names.items() if n.startswith(prefix)}
        return RenamedTensors(self.whole, chosen)
