"""Writing a checkpoint whole or not at all.

The file is made in a hidden folder beside its place, synced, and renamed; the folder is synced too, so that
once it has returned the checkpoint survives a power cut, and until then what was there is untouched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

import diffloom
from diffloom.checkpoint.digest import tensors_digest
from diffloom.checkpoint.header import KEY, Header
from diffloom.errors import CheckpointError

UNFINISHED = ".unfinished-"
"""Prefix of the hidden folders; one that outlived its process is rubbish."""


def save_checkpoint(
    path: str | Path, groups: Mapping[str, Mapping[str, Tensor]], *, step: int, config: str
) -> Header:
    """Write tensors, by group and name, with a header, to one safetensors file.

    `config` is the resolved configuration as YAML text. Replaces an older file of that name in one step.
    Raises CheckpointError when the disk is full or the folder cannot be written to; leaves nothing behind.
    """
    path = Path(path)
    kept = {group: _storable(tensors) for group, tensors in groups.items()}
    header = Header(
        step=step,
        config=config,
        version=diffloom.__version__,
        digests={group: tensors_digest(tensors) for group, tensors in kept.items()},
        names=tuple(sorted(f"{group}/{name}" for group, tensors in kept.items() for name in tensors)),
    )
    flat = {f"{group}/{name}": tensor for group, tensors in kept.items() for name, tensor in tensors.items()}
    hidden = path.parent / f"{UNFINISHED}{path.name}-{os.getpid()}"
    try:
        hidden.mkdir(parents=True)
        save_file(_unshared(flat), hidden / path.name, metadata={KEY: header.to_json()})
        # safetensors makes files for their owner alone; this one is as open as the folder it was made in.
        (hidden / path.name).chmod(hidden.stat().st_mode & 0o666)
        _sync(hidden / path.name)
        (hidden / path.name).rename(path)
        _sync(path.parent)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CheckpointError(
            f"{path}: the checkpoint cannot be written: {reason}; free some space or choose another folder "
            "(earlier checkpoints are untouched)"
        ) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return header


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left half written. Only where no other process is saving."""
    for hidden in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(hidden)


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, copied where two share memory (tied weights): the format has no aliases."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return separate


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
