"""What a checkpoint says of itself, read without torch and without touching a single weight.

A safetensors file is 8 bytes of header length, a JSON header, and the tensors' bytes. Ours has one metadata
entry, `diffloom`: a JSON text with the fields of `Header`, and their SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffloom.errors import CheckpointError

FORMAT = 1
"""Version of the layout; readers refuse files with a larger one."""
KEY = "diffloom"
"""Our entry of the safetensors metadata."""
LARGEST_HEADER = 100_000_000
"""Bytes; the safetensors format's own limit."""
REMEDY = "use another copy, or an earlier checkpoint"
PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})


@dataclass(frozen=True)
class Header:
    """A checkpoint's description."""

    step: int
    """Optimiser steps taken."""
    config: str
    """The resolved configuration as YAML text: enough to build the model."""
    version: str
    """The diffloom that wrote it."""
    digests: Mapping[str, str]
    """SHA-256 of each group of tensors, by the group's name: `weights`, `ema`, `frozen`, `optimizer`, ..."""
    names: tuple[str, ...] = ()
    """The tensors' names, each `group/name`."""

    def to_json(self) -> str:
        """The metadata entry."""
        fields: dict[str, Any] = {
            "format": FORMAT,
            "step": self.step,
            "config": self.config,
            "version": self.version,
            "digests": dict(sorted(self.digests.items())),
        }
        return json.dumps({**fields, "sha256": _digest(fields)})


def read_header(path: str | Path) -> Header:
    """Read and check a checkpoint's header and its file's size.

    Raises CheckpointError for a file that is missing, cut off, damaged, not a safetensors file, not
    diffloom's, or written by a newer diffloom.
    """
    path = Path(path)
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
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path}: its header is damaged; {REMEDY}") from error
    if size < 8 + length + end:
        raise CheckpointError(f"{path}: is cut off: {size} of {8 + length + end} bytes; {REMEDY}")
    if size > 8 + length + end:
        raise CheckpointError(
            f"{path}: is damaged: {size} bytes where its header says {8 + length + end}; {REMEDY}"
        )
    return _parse(path, metadata, tuple(sorted(entries)))


def _refuse_others(path: Path, start: bytes, size: int) -> None:
    """Raise for what is no whole safetensors header, by its first nine bytes."""
    if size == 0:
        raise CheckpointError(f"{path}: is empty (0 bytes); {REMEDY}")
    # A safetensors file of some lengths begins with a pickle's first bytes, but its ninth is always a brace.
    if start[8:] == b"{" and (length := struct.unpack("<Q", start[:8])[0]) <= LARGEST_HEADER:
        if size < 8 + length:
            raise CheckpointError(f"{path}: is cut off inside its header ({size} bytes); {REMEDY}")
        return
    pickled = start.startswith(b"PK\x03\x04") or (
        start[0] == 0x80 and start[1:2] in (b"\2", b"\3", b"\4", b"\5")
    )
    if pickled or path.suffix in PICKLE_SUFFIXES:
        raise CheckpointError(
            f"{path}: is a pickle (or named like one), which can run any code when it is loaded, so diffloom "
            "refuses it; ask its author for a .safetensors file, or convert it on a machine that may be lost"
        )
    raise CheckpointError(f"{path}: is not a safetensors file; name a checkpoint written by diffloom")


def _parse(path: Path, metadata: Mapping[str, str], names: tuple[str, ...]) -> Header:
    if KEY not in metadata:
        raise CheckpointError(
            f"{path}: is a safetensors file of another program: it has no diffloom header; "
            "name a checkpoint written by diffloom"
        )
    try:
        fields = json.loads(metadata[KEY])
        version, digests = fields["version"], fields["digests"]
        if fields["format"] > FORMAT:
            raise CheckpointError(
                f"{path}: has format {fields['format']}, written by diffloom {version}, and this diffloom reads "
                f"up to format {FORMAT}; update with `pip install -U diffloom`"
            )
        intact = fields.pop("sha256") == _digest(fields)
        header = Header(fields["step"], fields["config"], version, digests, names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: its diffloom header is damaged; {REMEDY}") from error
    if not intact or {name.partition("/")[0] for name in names} - digests.keys():
        raise CheckpointError(f"{path}: its diffloom header is damaged: the digest does not match; {REMEDY}")
    return header


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
