"""The header of a safetensors file, whoever wrote it, read without torch and without touching a single weight.

Such a file is 8 bytes of header length, a JSON header, and the tensors' bytes.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diffloom.errors import CheckpointError

LARGEST_HEADER = 100_000_000
"""Bytes; the safetensors format's own limit."""
REMEDY = "use another copy, or an earlier checkpoint"
PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file."""

    dtype: str
    """As the format writes it: `F32`, `BF16`, `I64`, ..."""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Stored:
    """What a file says of itself."""

    metadata: Mapping[str, str]
    """The writer's own entries."""
    tensors: Mapping[str, StoredTensor]
    """By name, sorted."""


def read_stored(path: Path) -> Stored:
    """Read and check a file's header and its size.

    Raises CheckpointError for a file that is missing, cut off, damaged or not a safetensors file.
    """
    if path.is_dir():
        raise CheckpointError(
            f"{path}: is a folder; name a .safetensors file or a run folder with checkpoints"
        )
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(9)
            _refuse_others(path, start, size)
            (length,) = struct.unpack("<Q", start[:8])
            text = start[8:] + file.read(length - 1)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint; check the name") from None
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read: {error.strerror}; check the file's permissions"
        ) from error
    try:
        entries = json.loads(text)
        metadata = entries.pop("__metadata__", {})
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        tensors = {
            name: StoredTensor(entry["dtype"], tuple(entry["shape"]))
            for name, entry in sorted(entries.items())
        }
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path}: its header is damaged; {REMEDY}") from error
    if size < 8 + length + end:
        raise CheckpointError(f"{path}: is cut off: {size} of {8 + length + end} bytes; {REMEDY}")
    if size > 8 + length + end:
        raise CheckpointError(
            f"{path}: is damaged: {size} bytes where its header says {8 + length + end}; {REMEDY}"
        )
    return Stored(metadata, tensors)


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, or a torch archive of one, by its first bytes."""
    try:
        with path.open("rb") as file:
            return _is_pickled(file.read(9))
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read: {error.strerror}; check the name and the file's permissions"
        ) from error


def _is_pickled(start: bytes) -> bool:
    # A safetensors file of some lengths begins with a pickle's first bytes, but its ninth is always a brace.
    pickled = start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5")
    return start[8:] != b"{" and (start.startswith(b"PK\x03\x04") or pickled)


def _refuse_others(path: Path, start: bytes, size: int) -> None:
    """Raise for what is no whole safetensors header, by its first nine bytes."""
    if size == 0:
        raise CheckpointError(f"{path}: is empty (0 bytes); {REMEDY}")
    if start[8:] == b"{" and (length := struct.unpack("<Q", start[:8])[0]) <= LARGEST_HEADER:
        if size < 8 + length:
            raise CheckpointError(f"{path}: is cut off inside its header ({size} bytes); {REMEDY}")
        return
    if _is_pickled(start) or path.suffix in PICKLE_SUFFIXES:
        raise CheckpointError(
            f"{path}: is a pickle (or named like one), which can run any code when it is loaded, so diffloom "
            "refuses it; ask its author for a .safetensors file, or convert it on a machine that may be lost"
        )
    raise CheckpointError(f"{path}: is not a safetensors file; name a checkpoint written by diffloom")
