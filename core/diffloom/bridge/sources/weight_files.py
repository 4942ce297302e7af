"""The weight files of a component's folder, as diffusers and transformers write them: whole, in shards, or halved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffloom.bridge.sources.hub import STEMS
from diffloom.errors import CheckpointError


@dataclass(frozen=True)
class WeightFiles:
    """The files that make one network's weights."""

    paths: tuple[Path, ...]
    index: Path | None = None
    """The list of which tensor is in which shard, where there are shards."""
    variant: str | None = None
    """The word between stem and suffix: `fp16`."""


def find_weight_files(folder: Path, *, pickle: bool, variant: str | None) -> WeightFiles:
    """The weights of a folder: full precision where there is a choice and `variant` does not say otherwise.

    Raises CheckpointError for a folder without weights, or one that lacks a shard.
    """
    for suffix in ("safetensors", "bin"):
        for stem in STEMS:
            found = [_named(folder, stem, suffix, word) for word in _variants(folder, stem, suffix)]
            chosen = [files for files in found if files.variant == variant] or (
                found if variant is None else []
            )
            if chosen:
                if suffix == "bin" and not pickle:
                    raise CheckpointError(
                        f"{chosen[0].paths[0]}: is a pickle, and there is no .safetensors file beside it; "
                        "pass --pickle (in Python, pickle=True) if you trust its author"
                    )
                return chosen[0]
    single = sorted(folder.glob("*.safetensors"))
    if len(single) == 1 and variant is None:
        return WeightFiles((single[0],))
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    wanted = (
        f"weights of variant {variant!r}"
        if variant
        else "weights that diffusers, transformers or open_clip name"
    )
    raise CheckpointError(f"{folder}: has no {wanted}; it has {there}")


def check_index(files: WeightFiles, names: Mapping[str, Path]) -> None:
    """Raises CheckpointError unless every tensor is in the shard that the index says; `names` is where they are."""
    assert files.index is not None
    listed = _weight_map(files.index)
    for name, shard in listed.items():
        if name not in names or names[name].name != shard:
            raise CheckpointError(f"{files.index.parent / shard}: lacks {name}, which the index says it has")
    for name, path in names.items():
        if name not in listed:
            raise CheckpointError(f"{path}: has {name}, which the index does not know")


def _variants(folder: Path, stem: str, suffix: str) -> list[str | None]:
    """None for full precision, first where it is there, then the variants."""
    words: list[str | None] = []
    if (folder / f"{stem}.{suffix}").exists() or (folder / f"{stem}.{suffix}.index.json").exists():
        words.append(None)
    for path in sorted(folder.iterdir()):
        parts = path.name.removeprefix(f"{stem}.")
        if parts != path.name and (parts.endswith(f".{suffix}") or parts.startswith(f"{suffix}.index.")):
            word = parts.removesuffix(f".{suffix}").removeprefix(f"{suffix}.index.").removesuffix(".json")
            if word and word.isalnum() and word != "json" and word not in words:
                words.append(word)
    return words


def _named(folder: Path, stem: str, suffix: str, variant: str | None) -> WeightFiles:
    mark = f".{variant}" if variant else ""
    whole = folder / f"{stem}{mark}.{suffix}"
    if whole.exists():
        return WeightFiles((whole,), variant=variant)
    index = folder / f"{stem}.{suffix}.index{mark}.json"
    shards = [folder / name for name in dict.fromkeys(_weight_map(index).values())]
    for shard in shards:
        if not shard.exists():
            raise CheckpointError(
                f"{shard}: this shard is missing, and {index.name} lists it; fetch it again"
            )
    return WeightFiles(tuple(shards), index, variant)


def _weight_map(index: Path) -> dict[str, str]:
    content = read_json(index)
    shards = content.get("weight_map")
    if (
        not isinstance(shards, dict)
        or not all(isinstance(name, str) for name in shards.values())
        or not shards
    ):
        raise CheckpointError(f"{index}: is no index of shards: it has no weight_map; use another copy")
    if any(Path(name).name != name for name in shards.values()):
        raise CheckpointError(f"{index}: names files outside its folder; use another copy")
    return shards


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object. Raises CheckpointError for any other."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CheckpointError(f"{path}: cannot be read: {reason}; use another copy") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object; use another copy")
    return content
