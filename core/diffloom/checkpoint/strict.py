"""Tensors into a module: all of them, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from diffloom.errors import CheckpointError

LISTED = 8
"""How many keys of each sort an error message lists before it only counts."""


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], place: str | Path) -> None:
    """Copy tensors into the module's parameters and buffers if each has its counterpart, else change nothing.

    Raises CheckpointError listing the missing, unexpected and unfit keys; `place` is the file they came from.
    """
    _require_fit(module, tensors, place, describe=_describe)
    module.load_state_dict(dict(tensors))


def adopt_strict(module: nn.Module, tensors: Mapping[str, Tensor], place: str | Path) -> None:
    """Make tensors the module's own, which may be on the meta device: the weights are never in memory twice.

    The module takes their floating-point types. Raises CheckpointError as `load_strict` does.
    """
    _require_fit(module, tensors, place, describe=_describe_loosely)
    module.load_state_dict(dict(tensors), assign=True)


def _require_fit(
    module: nn.Module, tensors: Mapping[str, Tensor], place: str | Path, *, describe: Callable[[Tensor], str]
) -> None:
    own = module.state_dict()
    unfit = [
        f"{name}: {describe(tensors[name])} where the model has {describe(tensor)}"
        for name, tensor in own.items()
        if name in tensors and describe(tensors[name]) != describe(tensor)
    ]
    lists = (
        ("missing", [name for name in own if name not in tensors]),
        ("unexpected", [name for name in tensors if name not in own]),
        ("of another shape or type", unfit),
    )
    if any(keys for _, keys in lists):
        told = "\n".join(f"  {len(keys)} {title}: {_listed(keys)}" for title, keys in lists if keys)
        raise CheckpointError(
            f"{place}: its weights are of another architecture than the configuration's; nothing was loaded. "
            f"Use the configuration the checkpoint was trained with.\n{told}"
        )


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _describe_loosely(tensor: Tensor) -> str:
    """All floating-point types alike."""
    kind = "float" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")
    return f"{kind}{list(tensor.shape)}"


def _listed(keys: Sequence[str]) -> str:
    more = f", and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return ", ".join(keys[:LISTED]) + more
