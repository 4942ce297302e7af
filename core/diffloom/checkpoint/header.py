"""What a checkpoint says of itself, read without torch and without touching a single weight.

Ours is a safetensors file with one metadata entry, `diffloom`: a JSON text with the fields of `Header`, and
their SHA-256. A sharded one is a folder of safetensors files, and that text is in a file beside them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffloom.checkpoint.stored import REMEDY, read_stored
from diffloom.errors import CheckpointError

FORMAT = 1
"""Version of the layout; readers refuse files with a larger one."""
KEY = "diffloom"
"""Our entry of the safetensors metadata."""
MANIFEST = "diffloom.json"
"""The file of a sharded checkpoint that holds its header; written last."""


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
    files: Mapping[str, str] = field(default_factory=dict)
    """Of a sharded checkpoint: SHA-256 of each file by its name. Its `digests` are made of those of each process's
    share, since none has had a whole group: they are others than those of the same tensors in one file."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of tensors, sorted."""
        return tuple(sorted(self.digests))

    def to_json(self) -> str:
        """The metadata entry."""
        fields: dict[str, Any] = {
            "format": FORMAT,
            "step": self.step,
            "config": self.config,
            "version": self.version,
            "digests": dict(sorted(self.digests.items())),
        }
        if self.files:
            fields |= {"files": dict(sorted(self.files.items())), "names": list(self.names)}
        return json.dumps({**fields, "sha256": _digest(fields)})


def read_header(path: str | Path) -> Header:
    """Read and check a checkpoint's header and its file's size.

    Raises CheckpointError for a file that is missing, cut off, damaged, not a safetensors file, not
    diffloom's, or written by a newer diffloom.
    """
    path = Path(path)
    if is_sharded(path):
        return _parse(path, {KEY: _manifest(path)}, None)
    stored = read_stored(path)
    return _parse(path, stored.metadata, tuple(stored.tensors))


def is_sharded(path: Path) -> bool:
    """Whether a path is a sharded checkpoint."""
    return (path / MANIFEST).is_file()


def _manifest(path: Path) -> str:
    try:
        return (path / MANIFEST).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: its diffloom header is damaged: {error}; {REMEDY}") from error


def _parse(path: Path, metadata: Mapping[str, str], names: tuple[str, ...] | None) -> Header:
    """`names` are the tensors that are stored; None where the header lists them itself."""
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
        if names is None:
            names = tuple(fields["names"])
        header = Header(fields["step"], fields["config"], version, digests, names, fields.get("files", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: its diffloom header is damaged; {REMEDY}") from error
    if not intact or {name.partition("/")[0] for name in names} - digests.keys():
        raise CheckpointError(f"{path}: its diffloom header is damaged: the digest does not match; {REMEDY}")
    return header


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
