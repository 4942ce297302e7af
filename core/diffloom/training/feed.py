"""Positions → batches. The same batches for any number of workers. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from diffloom.errors import DataError
from diffloom.kinds import Examples
from diffloom.process import keyed_generator
from diffloom.training.interrupt import ignore_interrupts
from diffloom.training.order import Order, Visit
from diffloom.training.split import Split


@dataclass(frozen=True)
class Batch:
    """Examples ready to train on."""

    positions: tuple[int, ...]
    """Their places in the run; every random number of theirs is keyed by these."""
    images_BCHW: Tensor
    """Values in [-1, 1]; rows of a cache of latents where the feed's examples are those."""
    raw: dict[str, list[Any]]
    """Raw conditions by conditioner."""

    def pin_memory(self) -> Batch:
        """The same with its pictures where a GPU can fetch them by itself; called by the DataLoader."""
        return Batch(self.positions, self.images_BCHW.pin_memory(), self.raw)


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The batches of a run."""

    examples: Examples
    keys: tuple[str, ...]
    """The conditions the model takes."""
    shape: tuple[int, ...]
    """(C, H, W) of every picture."""
    seed: int
    split: Split
    """Which examples of a step this process takes, and in how many passes."""
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


@dataclass(frozen=True)
class _Unfit:
    """An example that cannot be used: a value, so that a worker's error reaches the user without its traceback."""

    message: str


@dataclass(frozen=True)
class _Item:
    position: int
    image_CHW: np.ndarray[Any, np.dtype[np.float32]]
    raw: dict[str, Any]


class _Positions(Dataset["_Item | _Unfit"]):
    """The examples by position."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.order = feed.order or Order(seed=feed.seed, examples=len(feed.examples))

    def __getitem__(self, position: int) -> _Item | _Unfit:
        feed, index = self.feed, self.order.index(position)
        try:
            example = feed.examples.example(index, keyed_generator(feed.seed, position, 0, "example"))
        except DataError as error:
            return _Unfit(str(error))
        if example.image_CHW.shape != feed.shape:
            return _Unfit(
                f"example {index}: its picture has shape {example.image_CHW.shape} where `image:` says {feed.shape}"
            )
        missing = [key for key in feed.keys if key not in example.conditions]
        if missing:
            there = ", ".join(sorted(example.conditions)) or "no conditions"
            return _Unfit(
                f"example {index}: has no {', '.join(missing)} for the conditioners; it has {there}"
            )
        return _Item(position, example.image_CHW, {key: example.conditions[key] for key in feed.keys})


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
    )


def _begin_worker(worker: int) -> None:
    ignore_interrupts()
