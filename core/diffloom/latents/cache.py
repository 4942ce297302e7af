"""A cache of latents as examples to train on, held against the model and the data that it is used for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from diffloom.config import Document
from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Example, Examples
from diffloom.latents.caching import conditions_of, other_cache
from diffloom.latents.description import Description, Source, shard_name
from diffloom.latents.digest import picture_digest
from diffloom.latents.encoder import weights_digest
from diffloom.latents.index import read_index
from diffloom.latents.shard import Row, Shard
from diffloom.process import keyed_generator
from diffloom.training.changes import changes

CHECKED = 16
"""How many rows are held against the data before training: their pictures' digests and their conditions."""


class CachedExamples:
    """The examples of a cache. Each picture's place is taken by what the encoder made of it.

    Files are read by memory map, one row at a time; every row is held against its digest.
    """

    def __init__(self, folder: Path, description: Description, info: DataInfo) -> None:
        """Open every file. Raises DataError for one that is missing, cut off, damaged or of another cache."""
        self.folder, self.description, self.info = folder, description, info
        self._shards: dict[int, Shard] = {}
        for shard in range(description.shards):
            self._shard(shard)
        self.shape: tuple[int, ...] = self.row(0).latent.shape
        """Of one row."""

    def __len__(self) -> int:
        return self.description.source.examples

    def __getstate__(self) -> dict[str, Any]:
        """For processes that read ahead: each maps the files itself."""
        return {**self.__dict__, "_shards": {}}

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Example `index`; which of its views is drawn from `rng` where there are several."""
        views = self.description.views
        view = int(rng.integers(views)) if views > 1 else 0
        row = self.row(view * len(self) + index)
        return Example(image_CHW=row.latent, conditions=dict(row.conditions))

    def row(self, number: int) -> Row:
        """A row of the whole cache. Raises DataError where it is damaged."""
        shard, place = divmod(number, self.description.shard_examples)
        return self._shard(shard).row(place)

    def _shard(self, shard: int) -> Shard:
        if shard not in self._shards:
            self._shards[shard] = Shard(
                self.folder / shard_name(shard),
                metadata=self.description.metadata(shard),
                count=len(self.description.shard_rows(shard)),
            )
        return self._shards[shard]


def open_cache(folder: Path, document: Document, codec: nn.Module, examples: Examples) -> CachedExamples:
    """The cache in a folder, to train this model with this codec on these examples.

    Raises DataError unless it is whole and was made of the same: codec weights and configuration, data configuration
    and count, and for some rows pixels and conditions.
    """
    index = read_index(folder)
    description = index.description
    meant = Source.of(document, weights=weights_digest(codec), examples=len(examples))
    reasons = [
        f"{change.key}: {change.before!r} → {change.now!r}"
        for change in changes(_plain(description.source), _plain(meant))
    ]
    lacking = [key for key in document.conditioners if key not in description.conditions]
    reasons += [f"conditions: has no {', '.join(lacking)}"] if lacking else []
    if reasons:
        raise other_cache(folder, reasons)
    cached = CachedExamples(folder, description, examples.info)
    for number in _checked_rows(description.rows):
        _require_same(cached, number, examples, tuple(document.conditioners))
    return cached


def _plain(source: Source) -> dict[str, Any]:
    return {**source.__dict__}


def _checked_rows(rows: int) -> list[int]:
    """The first, the last, and others in between that are always the same."""
    inner = keyed_generator(0, rows, 0, "spot-check").choice(rows, size=min(CHECKED, rows), replace=False)
    return sorted({0, rows - 1, *(int(number) for number in inner)})


def _require_same(cached: CachedExamples, number: int, examples: Examples, keys: tuple[str, ...]) -> None:
    """Raises DataError unless a row was made of what the data give in its place."""
    description, row = cached.description, cached.row(number)
    index = number % len(cached)
    now = examples.example(index, keyed_generator(description.seed, number, 0, "example"))
    what = "its picture is" if picture_digest(now.image_CHW) != row.picture else ""
    for key in keys:
        if not what and conditions_of({key: now.conditions[key]}) != {key: row.conditions[key]}:
            what = f"its {key} is"
    if what:
        raise DataError(
            f"{cached.folder}: example {index} has changed since it was cached: {what} another; make another cache "
            "with another -o, or take the change back"
        )
