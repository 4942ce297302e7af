"""One file of a cache: some hundreds of encoded examples that lie one after another.

A safetensors file with five tensors. Row i of `latents` is what the encoder made of an example; `conditions` holds its
raw conditions as JSON, from `ends[i − 1]` to `ends[i]`; `pictures[i]` is the SHA-256 of its picture, and `digests[i]`
of all this together. Each row is held against its digest whenever it is read, so that nobody has to read a whole cache
to trust it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from diffloom.checkpoint.whole_file import save_whole
from diffloom.errors import DataError

KEY = "diffloom-latents"
"""Our entry of the safetensors metadata: a JSON text."""


@dataclass(frozen=True)
class Row:
    """One encoded example."""

    latent: NDArray[Any]
    """A posterior or a latent, float32 or float16."""
    conditions: Mapping[str, Any]
    """Raw conditions by conditioner."""
    picture: bytes
    """Its digest, 32 bytes."""


def write_shard(path: Path, rows: Sequence[Row], *, metadata: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all. Raises DataError when the disk is full or the folder not writable."""
    texts = [json.dumps(row.conditions, ensure_ascii=False).encode() for row in rows]
    digests = [_digest(row.latent, text, row.picture) for row, text in zip(rows, texts, strict=True)]
    tensors = {
        "latents": torch.from_numpy(np.stack([row.latent for row in rows])),
        "conditions": torch.from_numpy(np.frombuffer(b"".join(texts), dtype=np.uint8).copy()),
        "ends": torch.from_numpy(np.cumsum([len(text) for text in texts], dtype=np.int64)),
        "pictures": _bytes_of([row.picture for row in rows]),
        "digests": _bytes_of(digests),
    }
    try:
        save_whole(path, tensors, metadata={KEY: json.dumps(metadata, sort_keys=True)})
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(
            f"{path}: cannot be written: {reason}; free some space, then run the same command again"
        ) from error


class Shard:
    """A file open for reading, by memory map: only the rows that are asked for are read."""

    def __init__(self, path: Path, *, metadata: Mapping[str, Any], count: int) -> None:
        """Open it. Raises DataError when it is missing, cut off, damaged, or not the one that belongs here."""
        self.path = path
        if not path.is_file():
            raise DataError(f"{path}: is missing; `diffloom cache` makes what is missing and leaves the rest")
        try:
            file: Any = safe_open(path, framework="numpy")
            found = json.loads((file.metadata() or {}).get(KEY, "null"))
            self._slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            held = int(self._slices["latents"].get_shape()[0])
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise self._damaged("is cut off, damaged or no shard of a cache") from error
        if found != metadata or held != count:
            raise DataError(
                f"{path}: belongs to another cache, or to another place in this one; use another folder, or remove "
                "this file, then `diffloom cache` makes the right one"
            )
        self.count = count

    def row(self, index: int) -> Row:
        """Row `index`, verified. Raises DataError when it does not match its digest."""
        try:
            latent, picture = self._at("latents", index), self._at("pictures", index).tobytes()
            start = int(self._at("ends", index - 1)) if index else 0
            text = self._slices["conditions"][start : int(self._at("ends", index))].tobytes()
            is_intact = self._at("digests", index).tobytes() == _digest(latent, text, picture)
        except (SafetensorError, LookupError, OverflowError) as error:
            raise self._damaged(f"is damaged at row {index}") from error
        if not is_intact:
            raise self._damaged(f"is damaged: row {index} does not match its digest")
        return Row(latent, json.loads(text), picture)

    def _at(self, name: str, index: int) -> NDArray[Any]:
        found: NDArray[Any] = self._slices[name][index : index + 1][0]
        return found

    def pictures(self) -> list[bytes]:
        """The digests of its pictures, every row verified."""
        return [self.row(index).picture for index in range(self.count)]

    def _damaged(self, what: str) -> DataError:
        return DataError(f"{self.path}: {what}; remove it, then `diffloom cache` makes it again")


def _digest(latent: NDArray[Any], conditions: bytes, picture: bytes) -> bytes:
    digest = hashlib.sha256(json.dumps([str(latent.dtype), latent.shape, len(conditions)]).encode())
    for part in (np.ascontiguousarray(latent).data, conditions, picture):
        digest.update(part)
    return digest.digest()


def _bytes_of(digests: Sequence[bytes]) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(digests), -1).copy())
