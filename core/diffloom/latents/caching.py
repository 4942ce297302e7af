"""Encoding all examples once, into the files of a cache. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diffloom.checkpoint import remove_unfinished
from diffloom.errors import DataError, RunError
from diffloom.kinds import Conditioner
from diffloom.latents.description import Description, Source, shard_name
from diffloom.latents.digest import DataDigest, picture_digest
from diffloom.latents.index import NAME, Index, read_index, write_index
from diffloom.latents.model import LatentModel
from diffloom.latents.shard import Row, Shard, write_shard
from diffloom.training.changes import changes
from diffloom.training.feed import Batch
from diffloom.training.lock import NAME as LOCK
from diffloom.training.lock import FolderLock


@dataclass(frozen=True)
class Caching:
    """A cache to be made, or to be gone on with. What is there already is verified and kept."""

    model: LatentModel
    folder: Path
    description: Description

    def run(self, *, on_rows: Callable[[int], None]) -> Index:
        """Make what is missing; `on_rows(n)` is told of each n examples more that are there.

        Every file is written whole or not at all, and the index last: a cache that was stopped, however, goes on after
        its last file and ends with the same bytes. Raises DataError, and RunError for a folder that cannot be used.
        """
        folder, description = self.folder, self.description
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot be made: {error.strerror}; choose another with -o") from error
        lock = FolderLock(folder)
        try:
            remove_unfinished(folder)
            self._require_ours()
            digest = DataDigest()
            for shard in range(description.shards):
                for picture in self._pictures(shard):
                    digest.add(picture)
                on_rows(len(description.shard_rows(shard)))
            index = Index(description, digest.hexdigest())
            write_index(folder, index)
        finally:
            lock.release()
        return index

    def _require_ours(self) -> None:
        """Raises RunError for a folder of other things, and DataError for a finished cache of something else."""
        names = {shard_name(shard) for shard in range(self.description.shards)} | {NAME, LOCK}
        strangers = sorted(item.name for item in self.folder.iterdir() if item.name not in names)
        if strangers:
            raise RunError(
                f"{self.folder}: holds {strangers[0]}, which is no part of this cache; choose another -o"
            )
        if (self.folder / NAME).exists():
            found = changes(read_index(self.folder).description.plain(), self.description.plain())
            if found:
                raise other_cache(self.folder, [str(change) for change in found])

    def _pictures(self, shard: int) -> list[bytes]:
        """The digests of a file's pictures; the file is made where there is none."""
        path, rows = self.folder / shard_name(shard), self.description.shard_rows(shard)
        metadata = self.description.metadata(shard)
        if not path.exists():
            write_shard(path, list(self._rows(rows)), metadata=metadata)
        return Shard(path, metadata=metadata, count=len(rows)).pictures()

    def _rows(self, wanted: range) -> Iterator[Row]:
        """Encode these rows, in the batches that an uninterrupted run would encode them in."""
        size = self.description.batch_size
        feed = self.model.in_order(keys=self.description.conditions)
        for batch in feed.batches(first_step=wanted.start // size, last_step=-(-wanted.stop // size)):
            rows = self.model.encoder.rows(batch.images_BCHW).cpu()
            latents = rows.to(getattr(torch, self.description.dtype)).numpy()
            for place, position in enumerate(batch.positions):
                if position in wanted:
                    yield self._row(batch, place, latents[place])

    def _row(self, batch: Batch, place: int, latent: NDArray[Any]) -> Row:
        position = batch.positions[place]
        if not np.isfinite(latent).all():
            raise DataError(
                f"row {position}: its latent has numbers that are NaN, infinite or too large for "
                f"{self.description.dtype}; look at the autoencoder's weights, or use --dtype float32"
            )
        raw = {key: batch.raw[key][place] for key in self.description.conditions}
        for key, conditioner in self.model.document.conditioners.items():
            _require_kept(key, conditioner, raw[key], position)
        return Row(latent, raw, picture_digest(batch.images_BCHW[place].numpy()))


def described(model: LatentModel, *, views: int | None, dtype: str, shard_examples: int) -> Description:
    """The cache of a model.

    Raises DataError for a stream, for pictures of several shapes, for random data and no number of views, or the
    reverse.
    """
    document, data = model.document, model.data
    if model.stream is not None:
        raise DataError(
            f"data: {data.canonical} as configured is a stream, and a cache holds examples by their number; read it "
            "without streaming, or train from the pictures"
        )
    if document.image.buckets is not None:
        raise DataError(
            "image.buckets: a cache holds latents of one shape; leave them out, or train from the pictures"
        )
    if data.deterministic and views is not None:
        raise DataError(
            f"--views {views}: every view of {data.canonical} as configured is the same; leave it out"
        )
    if not data.deterministic and views is None:
        raise DataError(
            f"data: {data.canonical} as configured draws another view of an example each time (a flip, a crop, one of "
            "several captions), and a cache holds what was drawn once; turn that off, or say how many views of each to "
            "keep with --views"
        )
    return Description(
        source=Source.of(document, weights=model.encoder.weights, examples=len(model.examples)),
        views=views or 1,
        seed=model.train.seed,
        conditions=tuple(document.conditioners),
        dtype=dtype,
        batch_size=model.train.batch_size,
        shard_examples=shard_examples,
    )


def other_cache(folder: Path, reasons: list[str]) -> DataError:
    """The error for a cache that was made of something else."""
    listed = "\n".join(f"  {reason}" for reason in reasons)
    return DataError(
        f"{folder}: was made of something else (there → here):\n{listed}\n"
        "Take these back, or make another cache with another -o"
    )


def _require_kept(key: str, conditioner: Conditioner, raw: Any, position: int) -> None:
    """Raises DataError where a condition would come back from JSON as another one."""
    try:
        back = json.loads(json.dumps(raw))
        is_kept = conditioner.check(back) == conditioner.check(raw)
    except (TypeError, ValueError):
        is_kept = False
    if not is_kept:
        raise DataError(
            f"row {position}: its condition {key!r} (a {type(raw).__name__}) cannot be kept in a cache, which holds "
            "text, numbers and lists of them; train from the pictures instead"
        )


def conditions_of(conditions: Mapping[str, Any]) -> Any:
    """Raw conditions as a cache gives them back."""
    return json.loads(json.dumps(conditions))
