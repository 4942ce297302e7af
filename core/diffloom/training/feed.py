"""Positions → batches. The same batches for any number of workers. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from diffloom.errors import DataError
from diffloom.kinds import Example, Examples
from diffloom.process import keyed_generator
from diffloom.training.bucket_order import BucketOrder
from diffloom.training.buckets import Buckets
from diffloom.training.interrupt import ignore_interrupts
from diffloom.training.order import Order, Visit
from diffloom.training.split import Split

ATTEMPTS = 8
"""How many examples are tried for one position. So many in a row that cannot be read are no accident."""


@dataclass(frozen=True)
class Batch:
    """Examples ready to train on."""

    positions: tuple[int, ...]
    """Their places in the run; every random number of theirs is keyed by these."""
    images_BCHW: Tensor
    """Values in [-1, 1]; rows of a cache of latents where the feed's examples are those."""
    raw: dict[str, list[Any]]
    """Raw conditions by conditioner."""
    replaced: tuple[str, ...] = ()
    """What could not be read, each with the reason; another example stands in its place."""

    def pin_memory(self) -> Batch:
        """The same with its pictures where a GPU can fetch them by itself; called by the DataLoader."""
        return replace(self, images_BCHW=self.images_BCHW.pin_memory())


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The batches of a run."""

    examples: Examples
    keys: tuple[str, ...]
    """The conditions the model takes."""
    shape: tuple[int, ...]
    """(C, H, W) of every picture, where they lie in no buckets."""
    seed: int
    split: Split
    """Which examples of a step this process takes, and in how many passes."""
    buckets: Buckets | None = None
    """The shape of each example's picture, where they have several; a batch is then of one bucket."""
    order: Visit | None = None
    """Which examples come when: shuffled by the seed, anew in each epoch, unless this says otherwise."""
    workers: int = 0
    """Processes that read ahead; 0 reads in this one."""
    pinned: bool = False
    """Whether pictures lie where a GPU can fetch them by itself."""

    def steps(self, *, first_step: int, last_step: int) -> Iterator[list[Batch]]:
        """What this process takes of each step after `first_step` up to `last_step`: a batch for each pass.

        Raises DataError for unfit examples.
        """
        batches = self.batches(first_step=first_step, last_step=last_step)
        for _ in range(first_step, last_step):
            yield list(islice(batches, len(self.split.passes)))

    def batches(self, *, first_step: int, last_step: int) -> Iterator[Batch]:
        """The batches of these steps, pass after pass. Raises DataError for unfit examples."""
        loader = DataLoader(
            _Positions(self),
            batch_sampler=_Passes(first_step, last_step, self.split),
            collate_fn=_collate,
            num_workers=self.workers,
            pin_memory=self.pinned,
            worker_init_fn=_begin_worker,
            generator=torch.Generator(),  # the global one is not ours to draw from
        )
        for batch in loader:
            if isinstance(batch, _Unfit):
                raise DataError(batch.message)
            yield batch

    @property
    def visit(self) -> Visit:
        """Which examples come when."""
        if self.order is not None:
            return self.order
        if self.buckets is None:
            return Order(seed=self.seed, examples=len(self.examples))
        return BucketOrder(seed=self.seed, batch_size=self.split.batch_size, bucket_N=self.buckets.bucket_N)

    def shape_of(self, index: int) -> tuple[int, ...]:
        """(C, H, W) of an example's picture."""
        return self.shape if self.buckets is None else (self.shape[0], *self.buckets.shape(index))


@dataclass(frozen=True)
class _Unfit:
    """An example that cannot be used: a value, so that a worker's error reaches the user without its traceback."""

    message: str


@dataclass(frozen=True)
class _Item:
    position: int
    image_CHW: np.ndarray[Any, np.dtype[np.float32]]
    raw: dict[str, Any]
    replaced: tuple[str, ...]


class _Positions(Dataset["_Item | _Unfit"]):
    """The examples by position."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.order = feed.visit

    def __getitem__(self, position: int) -> _Item | _Unfit:
        """What stands at a position. An example that cannot be read is replaced by another one, drawn by its position:
        a damaged file costs no run, and the run stays a function of its data and its seed."""
        seed, index = self.feed.seed, self.order.index(position)
        failures: list[str] = []
        for attempt in range(ATTEMPTS):
            try:
                example = self.feed.examples.example(
                    index, keyed_generator(seed, position, attempt, "example")
                )
            except (DataError, OSError) as error:
                failures.append(f"example {index}: {error}")
            else:
                return self._item(position, index, example, tuple(failures))
            another = self.order.another(position, keyed_generator(seed, position, attempt, "another"))
            if another is None:
                return _Unfit(failures[0])
            index = another
        listed = "\n".join(f"  {failure}" for failure in dict.fromkeys(failures))
        return _Unfit(f"{ATTEMPTS} examples in a row cannot be read; look at where the data lie:\n{listed}")

    def _item(self, position: int, index: int, example: Example, replaced: tuple[str, ...]) -> _Item | _Unfit:
        feed, shape = self.feed, self.feed.shape_of(index)
        if example.image_CHW.shape != shape:
            wanted = "`image:` says" if feed.buckets is None else "its bucket has"
            return _Unfit(
                f"example {index}: its picture has shape {example.image_CHW.shape} where {wanted} {shape}"
            )
        missing = [key for key in feed.keys if key not in example.conditions]
        if missing:
            there = ", ".join(sorted(example.conditions)) or "no conditions"
            return _Unfit(
                f"example {index}: has no {', '.join(missing)} for the conditioners; it has {there}"
            )
        return _Item(
            position, example.image_CHW, {key: example.conditions[key] for key in feed.keys}, replaced
        )


@dataclass(frozen=True)
class _Passes:
    """The positions of each pass's batch."""

    first_step: int
    last_step: int
    split: Split

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first_step, self.last_step):
            for places in self.split.passes:
                yield [step * self.split.batch_size + place for place in places]

    def __len__(self) -> int:
        return (self.last_step - self.first_step) * len(self.split.passes)


def _collate(items: Sequence[_Item | _Unfit]) -> Batch | _Unfit:
    fit = [item for item in items if isinstance(item, _Item)]
    for item in items:
        if isinstance(item, _Unfit):
            return item
    return Batch(
        positions=tuple(item.position for item in fit),
        images_BCHW=torch.from_numpy(
            np.stack([item.image_CHW for item in fit]).astype(np.float32, copy=False)
        ),
        raw={key: [item.raw[key] for item in fit] for key in fit[0].raw},
        replaced=tuple(failure for item in fit for failure in item.replaced),
    )


def _begin_worker(worker: int) -> None:
    ignore_interrupts()
