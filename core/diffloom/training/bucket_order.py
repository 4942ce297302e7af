"""The order of examples that lie in buckets: each batch of one bucket, without any state to restore."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from diffloom.process import keyed_generator


class BucketOrder:
    """Every bucket has an endless line of its own: all its examples in a shuffle, then all in another, and so on. A
    batch is the next `batch_size` of one line.

    By the end of epoch e a bucket of n examples has given ⌊e·n / batch_size⌋ batches; those that an epoch adds come in
    a shuffle of its own. So what does not fill a batch waits for the next epoch: after e epochs every example was
    visited at most e times, a bucket lacks fewer than `batch_size` visits of its e·n, and two examples of one bucket
    differ by at most one visit. All of it is a function of (seed, epoch).
    """

    def __init__(self, *, seed: int, batch_size: int, bucket_N: NDArray[np.int64]) -> None:
        """`bucket_N` is the bucket of each example."""
        self.seed, self.batch_size, self.examples = seed, batch_size, len(bucket_N)
        by_bucket_N = np.argsort(bucket_N, kind="stable")
        ends = np.cumsum(np.bincount(bucket_N))[:-1]
        self._members = np.split(by_bucket_N, ends)
        self._kept: OrderedDict[Hashable, NDArray[np.int64]] = OrderedDict()

    def index(self, position: int) -> int:
        """Which example stands at this position."""
        bucket, place = self._place(position)
        members = self._members[bucket]
        turn, rest = divmod(place, len(members))
        return int(members[self._line(bucket, turn)[rest]])

    def another(self, position: int, rng: np.random.Generator) -> int:
        """An example of the same bucket."""
        bucket, _ = self._place(position)
        return int(rng.choice(self._members[bucket]))

    def _place(self, position: int) -> tuple[int, int]:
        """Of which bucket the batch at a position is, and the position's place in that bucket's line."""
        batch, place = divmod(position, self.batch_size)
        epoch = self._epoch(batch)
        first = self._batches(epoch)
        bucket, nth = self._course(epoch)[batch - int(first.sum())]
        return int(bucket), (int(first[bucket]) + int(nth)) * self.batch_size + place

    def _epoch(self, batch: int) -> int:
        """In which epoch a batch comes."""
        epoch = (
            batch * self.batch_size // self.examples
        )  # at the earliest: none gives more batches than it has examples
        while self._batches(epoch + 1).sum() <= batch:
            epoch += 1
        return epoch

    def _batches(self, epoch: int) -> NDArray[np.int64]:
        """How many batches of each bucket come before an epoch, counted from 0."""
        return epoch * self._sizes // self.batch_size

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return np.array([len(members) for members in self._members])

    def _course(self, epoch: int) -> NDArray[np.int64]:
        """The batches of an epoch in their order: (bucket, how many of this bucket this epoch gave before)."""

        def make() -> NDArray[np.int64]:
            counts = self._batches(epoch + 1) - self._batches(epoch)
            batches = [(bucket, nth) for bucket, count in enumerate(counts) for nth in range(count)]
            return keyed_generator(self.seed, epoch, 0, "order of buckets").permutation(batches)

        return self._remembered(epoch, make)

    def _line(self, bucket: int, turn: int) -> NDArray[np.int64]:
        """A bucket's shuffle of its examples, for one turn through them."""

        def make() -> NDArray[np.int64]:
            return keyed_generator(self.seed, turn, bucket, "order").permutation(len(self._members[bucket]))

        return self._remembered((bucket, turn), make)

    def _remembered(self, key: Hashable, make: Callable[[], NDArray[np.int64]]) -> NDArray[np.int64]:
        """What was made before for this key; a batch may reach into the next turn, so two for each bucket are kept."""
        if key not in self._kept:
            self._kept[key] = make()
            if len(self._kept) > 2 * len(self._members) + 2:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
