"""Weights as a path has them: one file, or a component's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffloom.bridge.sources.mapped import open_mapped
from diffloom.bridge.sources.pickled import read_pickle
from diffloom.bridge.sources.sides import open_sides, sides_of
from diffloom.bridge.sources.weight_files import check_index, find_weight_files, read_json
from diffloom.bridge.tensors import Tensors
from diffloom.checkpoint.stored import PICKLE_SUFFIXES, is_pickle
from diffloom.errors import CheckpointError

CONFIGS = ("config.json", "open_clip_config.json")
"""What describes the network of a folder."""


@dataclass(frozen=True)
class Opened:
    """Tensors, and what is known of them."""

    tensors: Tensors
    averages: Tensors | None = None
    """Averaged weights under the same names, where the file keeps both."""
    config: Mapping[str, Any] | None = None
    """The JSON beside them."""
    told: tuple[str, ...] = ()


def open_weights(path: Path, *, pickle: bool, assume: Mapping[str, str]) -> Opened:
    """Open a weight file or a component's folder.

    Raises CheckpointError for what is neither, is damaged, lacks a shard, or is a pickle that was not asked for.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or folder; check the name")
    return _folder(path, pickle, assume) if path.is_dir() else _file(path, pickle, assume)


def _file(path: Path, pickle: bool, assume: Mapping[str, str]) -> Opened:
    if not is_pickle(path):
        sides = sides_of(path)
        if sides is None:
            return Opened(open_mapped([path]))
        return Opened(
            open_sides(sides), told=(f"both sides: {', '.join(file.name for file in sides.values())}",)
        )
    if not pickle:
        raise CheckpointError(
            f"{path}: is a pickle; pass --pickle (in Python, pickle=True; in a configuration, where there is such a "
            "field, `pickle: true`) to read its tensors, and nothing but tensors, or ask its author for a .safetensors "
            "file"
        )
    found = read_pickle(path, assume=assume)
    return Opened(found.tensors, found.averages, told=found.told)


def _folder(path: Path, pickle: bool, assume: Mapping[str, str]) -> Opened:
    files = find_weight_files(path, pickle=pickle, variant=assume.get("variant"))
    config = next((read_json(path / name) for name in CONFIGS if (path / name).exists()), None)
    told = (f"{path.name}: variant {files.variant}",) if files.variant else ()
    if files.paths[0].suffix in PICKLE_SUFFIXES:
        if len(files.paths) > 1:
            raise CheckpointError(
                f"{path}: is pickled in shards, which is not read; take the .safetensors files"
            )
        found = read_pickle(files.paths[0], assume=assume)
        return Opened(found.tensors, found.averages, config, told + found.told)
    tensors = open_mapped(files.paths, place=str(path if files.index else files.paths[0]))
    if files.index is not None:
        check_index(files, {name: held.file for name, held in tensors.held.items()})
    return Opened(tensors, config=config, told=told)
