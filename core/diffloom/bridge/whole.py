"""A path → a whole model of another program, by whichever layout it has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from diffloom.bridge.layouts.bare import read_bare
from diffloom.bridge.layouts.pipeline_folder import INDEX, read_pipeline_folder
from diffloom.bridge.layouts.single_file import is_single_file, read_single_file
from diffloom.bridge.model import ForeignModel
from diffloom.bridge.pieces import Answers
from diffloom.bridge.reading import Reading
from diffloom.bridge.sources.hub import SCHEME, fetch
from diffloom.registry import Registry


def locate(source: str | Path, *, pickle: bool, assume: Mapping[str, str]) -> Path:
    """A path on this disk; what `hf://` names is downloaded. Raises CheckpointError."""
    if isinstance(source, str) and source.startswith(SCHEME):
        return fetch(source, pickle=pickle, assume=assume)
    return Path(source)


def read_model(
    path: Path, *, registry: Registry, pickle: bool = False, assume: Mapping[str, str] | None = None
) -> ForeignModel:
    """Understand a whole model: configuration, networks, where which weights go. Reads shapes, and no weight.

    Raises CheckpointError for what is none, and AmbiguousError for what `assume` must answer first.
    """
    answers = Answers(assume or {})
    reading = Reading(registry, pickle, answers)
    if (path / INDEX).exists():
        model = read_pipeline_folder(path, reading)
    else:
        opened = reading.open(path)
        model = (read_single_file if is_single_file(opened.tensors) else read_bare)(opened, reading)
    answers.require_all_used(str(path))
    return model
