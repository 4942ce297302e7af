"""Writing a checkpoint, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

import diffloom
from diffloom.checkpoint.digest import tensors_digest
from diffloom.checkpoint.header import KEY, Header
from diffloom.checkpoint.whole_file import save_whole
from diffloom.errors import CheckpointError


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
    try:
        save_whole(path, unshared(flat), metadata={KEY: header.to_json()})
    except (OSError, SafetensorError) as error:
        raise unwritable(path, error) from error
    return header


def unwritable(path: Path, error: BaseException) -> CheckpointError:
    """What to tell of a checkpoint that could not be written."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return CheckpointError(
        f"{path}: the checkpoint cannot be written: {reason}; free some space or choose another folder "
        "(earlier checkpoints are untouched)"
    )


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def unshared(
    tensors: Mapping[str, Tensor], *, memory: Callable[[Tensor], int] = _storage
) -> dict[str, Tensor]:
    """The same tensors, copied where two share `memory` (tied weights): the format has no aliases."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        place = memory(tensor)
        separate[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return separate
