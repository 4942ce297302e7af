"""What a single file has beside the weights of its networks, kept so that the model goes back to the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from torch import Tensor

from diffloom.bridge.export.ldm_file import family_of, ldm_averages, ldm_networks
from diffloom.bridge.export.model import OwnModel
from diffloom.bridge.layouts.pipeline_folder import INDEX
from diffloom.bridge.layouts.single_file import is_single_file
from diffloom.bridge.sources.opened import open_weights
from diffloom.bridge.tensors import Tensors
from diffloom.config import Document
from diffloom.errors import CheckpointError
from diffloom.kinds import LatentSpace

LISTED = 4
"""How many names are told."""


def single_file_at(path: Path, *, pickle: bool, assume: Mapping[str, str]) -> Tensors | None:
    """The tensors of a single-file model; None where the path is anything else. Raises CheckpointError."""
    if (path / INDEX).exists():
        return None
    tensors = open_weights(path, pickle=pickle, assume=assume).tensors
    return tensors if is_single_file(tensors) else None


def same_numbers(one: Document, other: Document) -> bool:
    """Whether both mean the same tables of noise and the same factor of latents, which such a file may keep."""
    spaces = one.space, other.space
    scales = {space.scale for space in spaces if isinstance(space, LatentSpace)}
    return one.schedule == other.schedule and len(scales) == 1


def spare_of(
    source: Tensors, model: OwnModel, *, averaged: bool
) -> tuple[dict[str, Tensor] | None, tuple[str, ...]]:
    """What an export of `model`, which is that of `source`, would not write again, and a line that tells of it.

    Halves of networks that nothing here reads, position ids, tables, counts. `averaged` says whether the export writes
    averages. Where no file can say the model any more, since it was changed, it is None.
    """
    try:
        written = set(ldm_networks(model, family_of(model)))
    except CheckpointError as error:
        return None, (f"spare: left out, as no single file can say this model ({error})",)
    if averaged:
        written |= set(ldm_averages(model))
    names = [name for name in source if name not in written]
    told = f"spare: {len(names)} tensors kept for a single file again: {', '.join(islice(names, LISTED))}"
    more = ", …" if len(names) > LISTED else ""
    return {name: source.read(name) for name in names}, (told + more,) if names else ()
