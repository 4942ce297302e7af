"""Tensors in shares: reading them from the files of a sharded checkpoint, and taking one's own.

The files are safetensors as torch.distributed.checkpoint writes them for Hugging Face: no pickle. torch's parts for
this take long to import, so that happens where there are shares.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from torch import Tensor

from diffloom.checkpoint.stored import REMEDY
from diffloom.errors import CheckpointError

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def counterpart(name: str, shape: Sequence[int], like: Mapping[str, Tensor] | None) -> DTensor | None:
    """The sharded tensor that one of this name and shape is to be laid out like: the weight itself, or that of an
    optimiser's `weight/slot`."""
    if not like:
        return None
    from torch.distributed.tensor import DTensor

    for key in (name, name.rpartition("/")[0]):
        found = like.get(key)
        if isinstance(found, DTensor) and found.shape == tuple(shape):
            return found
    return None


def share(tensor: Tensor, model: DTensor) -> DTensor:
    """This process's share of a tensor that it has whole, laid out like `model`. Talks to nobody."""
    from torch.distributed.tensor import distribute_tensor

    shared: DTensor = distribute_tensor(
        tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None
    )
    return shared


def read_shares(
    folder: Path, *, prefix: str, names: Sequence[str], like: Mapping[str, Tensor] | None
) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it: whole, or this process's share. Talks to nobody.

    Raises CheckpointError when files are missing or damaged.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    try:
        reader = HuggingFaceStorageReader(str(folder))
        stored = reader.read_metadata().state_dict_metadata
        found = {
            name: _room(name.removeprefix(prefix), stored[name], like)
            for name in names
            if name.startswith(prefix)
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # on purpose
            load(found, storage_reader=reader, no_dist=True)
    except (OSError, KeyError, SafetensorError, CheckpointException) as error:
        raise CheckpointError(f"{folder}: is damaged: {error}; {REMEDY}") from error
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}


def _room(name: str, stored: object, like: Mapping[str, Tensor] | None) -> Tensor:
    """An empty tensor to read one into."""
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    assert isinstance(stored, TensorStorageMetadata), "checkpoints hold tensors"
    model = counterpart(name, stored.size, like)
    if model is None:
        return torch.empty(stored.size, dtype=stored.properties.dtype)
    return torch.empty_like(model.detach(), dtype=stored.properties.dtype)
