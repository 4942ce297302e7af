"""Their tensors into our module and back: every name accounted for, or nothing done."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diffloom.bridge.contract import Entry, Names
from diffloom.bridge.tensors import Tensors
from diffloom.errors import CheckpointError

LISTED = 8
"""How many names of each sort a message lists before it only counts."""


def fill(module: nn.Module, tensors: Tensors, names: Names, *, dtype: torch.dtype | None = None) -> None:
    """Make `tensors` the weights of `module`, which may be on the meta device.

    They are read one at a time and become the module's own, so that the weights are never in memory twice. With
    `dtype`, floating-point tensors are brought to it; else they keep the file's. Raises CheckpointError, the module
    unchanged, listing what is missing, left over or of another shape.
    """
    entries = require_fit(module, tensors, names)
    for entry in entries:
        ours = entry.change.read([tensors.read(name) for name in entry.theirs])
        if dtype is not None and ours.is_floating_point():
            ours = ours.to(dtype)
        owner, _, leaf = entry.ours.rpartition(".")
        module.get_submodule(owner).load_state_dict({leaf: ours}, strict=False, assign=True)


def require_fit(module: nn.Module, tensors: Tensors, names: Names) -> list[Entry]:
    """Every tensor of ours with those of theirs that make it; none is read.

    Raises CheckpointError listing what is missing, left over or of another shape.
    """
    entries = list(names.entries(module))
    _require_ours(module, entries)
    missing = [name for entry in entries for name in entry.theirs if name not in tensors]
    used = {name for entry in entries for name in entry.theirs}
    left = [name for name in tensors if name not in used]
    spare = set(names.spare(module, left)) if left else set()
    extra = [name for name in left if name not in spare]
    problems = [
        ("missing", missing),
        ("left over", extra),
        ("of another shape", _misshapen(module, entries, tensors)),
    ]
    if any(found for _, found in problems):
        told = "\n".join(f"  {len(found)} {title}: {_listed(found)}" for title, found in problems if found)
        raise CheckpointError(
            f"{tensors.place}: these {names.format} weights are of another architecture; nothing was loaded\n{told}"
        )
    return entries


def theirs_of(module: nn.Module, names: Names) -> dict[str, Tensor]:
    """The module's weights under their names, in the order of our entries."""
    ours = module.state_dict()
    entries = list(names.entries(module))
    _require_ours(module, entries)
    return {
        name: tensor
        for entry in entries
        for name, tensor in zip(entry.theirs, entry.change.write(ours[entry.ours]), strict=True)
    }


def _require_ours(module: nn.Module, entries: Sequence[Entry]) -> None:
    """A bridge that forgets a tensor of ours is a mistake of its author."""
    named, own = [entry.ours for entry in entries], list(module.state_dict())
    assert sorted(named) == sorted(own), (
        f"entries() must name every tensor of the module once: {sorted(set(named) ^ set(own))[:LISTED]}"
    )


def _misshapen(module: nn.Module, entries: Sequence[Entry], tensors: Tensors) -> list[str]:
    """Which of theirs do not make a tensor of ours, tried on the meta device."""
    ours = module.state_dict()
    found = []
    for entry in entries:
        if any(name not in tensors for name in entry.theirs):
            continue
        shapes = [tensors.shape(name) for name in entry.theirs]
        wanted = [
            tuple(t.shape) for t in entry.change.write(torch.empty_like(ours[entry.ours], device="meta"))
        ]
        if shapes != wanted:
            found.append(f"{', '.join(entry.theirs)} {_shapes(shapes)}, not {_shapes(wanted)}")
    return found


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    return " ".join(str(list(shape)) for shape in shapes)


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
