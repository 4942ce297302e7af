"""A safetensors file, written whole or not at all.

It is made in a hidden folder beside its place, synced, and renamed; the folder is synced too, so that once this has
returned the file survives a power cut, and until then what was there is untouched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

UNFINISHED = ".unfinished-"
"""Prefix of the hidden folders; one that outlived its process is rubbish."""


def save_whole(path: Path, tensors: dict[str, Tensor], *, metadata: Mapping[str, str]) -> None:
    """Write a file, in place of an older one of that name. Raises OSError or SafetensorError; leaves nothing behind."""
    hidden = path.parent / f"{UNFINISHED}{path.name}-{os.getpid()}"
    try:
        hidden.mkdir(parents=True)
        save_file(tensors, hidden / path.name, metadata=dict(metadata))
        # safetensors makes files for their owner alone; this one is as open as the folder it was made in.
        (hidden / path.name).chmod(hidden.stat().st_mode & 0o666)
        synced(hidden / path.name)
        (hidden / path.name).rename(path)
        synced(path.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left half written. Only where no other process is saving."""
    for hidden in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(hidden)


def synced(path: Path) -> None:
    """Return when a file's contents, or a folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
