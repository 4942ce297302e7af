"""Tensors of a pickle, for those who ask for it: torch's reader that builds tensors and nothing else."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffloom.bridge.contract import AmbiguousError
from diffloom.bridge.memory import MemoryTensors
from diffloom.errors import CheckpointError

WEIGHTS = ("state_dict", "model_state_dict", "model", "module", "net", "params", "weights")
"""Names under which programs keep the weights, beside the rest of a training's state."""
AVERAGES = ("ema", "model_ema", "ema_state_dict", "ema_model", "params_ema")
"""Names under which they keep averaged weights beside those."""


@dataclass(frozen=True)
class Unpickled:
    """What a pickle holds."""

    tensors: MemoryTensors
    averages: MemoryTensors | None
    """Averaged weights under the same names, where there are any beside."""
    told: tuple[str, ...]


def read_pickle(path: Path, *, assume: Mapping[str, str]) -> Unpickled:
    """The tensors of a `.pt`, `.ckpt`, `.bin` or `.pth` file, mapped from it where its format allows that.

    A training's state holds them one level down: under `state_dict`, `model` and the like, with averages under `ema`.
    Raises CheckpointError for files that hold anything torch's safe reader does not build.
    """
    try:
        # archives of before torch 1.6 cannot be mapped
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        told = next((line for line in lines if "GLOBAL" in line), lines[0])
        raise CheckpointError(
            f"{path}: holds more than tensors, so it is not read even when pickles are asked for: {told[:200]}; "
            "ask its author for a .safetensors file"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"{path}: is damaged: {str(error).splitlines()[0]}; use another copy"
        ) from error
    if isinstance(content, Mapping) and (direct := _tensors(content)):
        return Unpickled(MemoryTensors(direct, str(path)), None, ())
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, and not tensors by name")
    return _nested(path, content, assume)


def _nested(path: Path, content: Mapping[str, Any], assume: Mapping[str, str]) -> Unpickled:
    """The tensors one level down."""
    groups = {str(name): found for name, value in content.items() if (found := _tensors(value))}
    if not groups:
        raise CheckpointError(f"{path}: holds no tensors by name; it has {', '.join(map(str, content))}")
    averages = next((name for name in AVERAGES if name in groups), None)
    chosen = assume.get("group") or next((name for name in WEIGHTS if name in groups), None) or averages
    if chosen is None and len(groups) == 1:
        (chosen,) = groups
    if chosen not in groups:
        choices = {f"group={name}": f"{len(tensors)} tensors" for name, tensors in groups.items()}
        raise AmbiguousError(str(path), "holds several groups of tensors", choices)
    beside = sorted(map(str, content.keys() - {chosen, averages}))
    told = [f"weights from {chosen!r}" + (f", averages from {averages!r}" if averages else "")]
    if beside:
        told.append(f"left out, being no weights: {', '.join(beside)}")
    use_averages = (
        averages is not None and averages != chosen and groups[averages].keys() == groups[chosen].keys()
    )
    return Unpickled(
        MemoryTensors(groups[chosen], f"{path} ({chosen})"),
        MemoryTensors(groups[averages], f"{path} ({averages})") if use_averages and averages else None,
        tuple(told),
    )


def _tensors(value: Any) -> dict[str, Tensor]:
    """A state dict as it is; empty for all else."""
    if not isinstance(value, Mapping):
        return {}
    tensors = {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
    return tensors if len(tensors) == len(value) else {}
