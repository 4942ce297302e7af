"""Positions → batches. The same batches for any number of workers. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from types import TracebackType

import torch
from torch.utils.data import DataLoader, Dataset

from diffloom.errors import DataError
from diffloom.kinds import Examples
from diffloom.process import keyed_generator
from diffloom.training.batch import Batch, Item, Unfit, Wanted, collated
from diffloom.training.bucket_order import BucketOrder
from diffloom.training.buckets import Buckets
from diffloom.training.interrupt import ignore_interrupts
from diffloom.training.order import Order, Visit
from diffloom.training.split import Split

__all__ = ["ATTEMPTS", "Batch", "Feed", "begin_worker"]

ATTEMPTS = 8
"""How many examples are tried for one position. So many in a row that cannot be read are no accident."""
DRAWS = 64
"""How many are drawn for it at most: in a small set one that failed may be drawn again."""


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
            collate_fn=collated,
            num_workers=self.workers,
            pin_memory=self.pinned,
            worker_init_fn=begin_worker,
            generator=torch.Generator(),  # the global one is not ours to draw from
        )
        for batch in loader:
            if isinstance(batch, Unfit):
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

    def wanted(self, index: int) -> Wanted:
        """What it takes of an example."""
        if self.buckets is None:
            return Wanted(self.keys, self.shape)
        return Wanted(self.keys, (self.shape[0], *self.buckets.shape(index)), owner="its bucket has")


class _Positions(Dataset["Item | Unfit"]):
    """The examples by position."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.order = feed.visit

    def __getitem__(self, position: int) -> Item | Unfit:
        """What stands at a position. An example that cannot be read is replaced by another one, drawn by its position:
        a damaged file costs no run, and the run stays a function of its data and its seed."""
        seed, index = self.feed.seed, self.order.index(position)
        failures: dict[int, str] = {}
        for attempt in range(DRAWS):
            try:
                if index not in failures:
                    example = self.feed.examples.example(
                        index, keyed_generator(seed, position, attempt, "example")
                    )
                    return self.feed.wanted(index).item(
                        example, position=position, called=f"example {index}", replaced=(*failures.values(),)
                    )
            except (DataError, OSError) as error:
                failures[index] = f"example {index}: {error}"
                if len(failures) == ATTEMPTS:
                    break
            another = self.order.another(position, keyed_generator(seed, position, attempt, "another"))
            if another is None:
                return Unfit(failures[index])
            index = another
        listed = "\n".join(f"  {failure}" for failure in failures.values())
        return Unfit(
            f"{len(failures)} examples in a row cannot be read; look at where the data lie:\n{listed}"
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


def begin_worker(worker: int) -> None:
    """What a process that reads ahead does first."""
    ignore_interrupts()
    sys.excepthook = _told_unless_left


def _told_unless_left(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The thread that hands batches over has no news where whoever it was talking to has ended: the run tells why."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)
