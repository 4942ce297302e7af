"""Tensors of one or several safetensors files: shapes from the headers, numbers by memory map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from diffloom.checkpoint.stored import StoredTensor, read_stored
from diffloom.errors import CheckpointError

DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
"""The format's words → torch's."""


@dataclass(frozen=True)
class Held:
    """Where one tensor is."""

    file: Path
    opened: Any
    """The file's map, kept: mapping it anew for each of a thousand tensors takes longer than reading them."""
    name: str
    """Its name in the file."""
    stored: StoredTensor


@dataclass(frozen=True)
class MappedTensors:
    """Tensors in files, by name."""

    held: Mapping[str, Held]
    place: str
    """Where they are, for messages."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def __contains__(self, name: object) -> bool:
        return name in self.held

    def shape(self, name: str) -> tuple[int, ...]:
        """Its shape."""
        return self.held[name].stored.shape

    def dtype(self, name: str) -> torch.dtype:
        """Its type. Raises CheckpointError for one that torch does not have."""
        word = self.held[name].stored.dtype
        if word not in DTYPES:
            raise CheckpointError(f"{self.held[name].file}: {name} is of type {word}, which torch has not")
        return DTYPES[word]

    def read(self, name: str) -> Tensor:
        """The tensor: pages of the file, read when they are touched. Raises CheckpointError where that fails."""
        held = self.held[name]
        try:
            tensor = held.opened.get_tensor(held.name)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{held.file}: {name} cannot be read: {error}; use another copy") from error
        assert isinstance(tensor, Tensor)
        return tensor

    def under(self, prefix: str) -> MappedTensors:
        """Those whose names begin with `prefix`, without it."""
        chosen = {n.removeprefix(prefix): held for n, held in self.held.items() if n.startswith(prefix)}
        return MappedTensors(chosen, self.place)


def open_mapped(files: Sequence[Path], *, place: str | None = None) -> MappedTensors:
    """Open safetensors files as one. Raises CheckpointError for a file that is none, or for a name in two."""
    held: dict[str, Held] = {}
    for file in files:
        tensors = read_stored(file).tensors
        opened = safe_open(file, framework="pt", device="cpu")
        for name, stored in tensors.items():
            if name in held:
                raise CheckpointError(
                    f"{file}: {name} is in {held[name].file.name} too; these shards do not belong together"
                )
            held[name] = Held(file, opened, name, stored)
    return MappedTensors(held, place or str(files[0]))
