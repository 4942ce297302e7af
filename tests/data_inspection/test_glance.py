"""Which examples are looked at. Oracle: examples that say which they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diffloom.data_inspection.glance import glance
from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Example
from diffloom.process import keyed_generator


class Numbers:
    """Example i is i, and a number of its own; every third cannot be read."""

    def __init__(self, count: int) -> None:
        self.info = DataInfo(examples=count)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def example(self, index: int, rng: np.random.Generator) -> Example:
        if index % 3 == 2:
            raise DataError(f"{index} is gone")
        return Example(np.full((1, 1, 1), index, np.float32), {"draw": rng.random()})


class Shards:
    """The same numbers in shards of four, without end in sight."""

    info = DataInfo(examples=None)
    shards = 100
    shuffle_buffer = 8

    def records(self, shard: int, *, first: int) -> Iterator[Any]:
        yield from range(4 * shard + first, 4 * shard + 4)

    def example(self, record: Any, rng: np.random.Generator) -> Example:
        return Numbers(400).example(record, rng)


@given(st.integers(1, 200), st.integers(1, 30))
def test_examples_are_spread_evenly(examples: int, count: int) -> None:
    found = glance(Numbers(examples), count=count, seed=0)
    read = [int(one.example.image_CHW[0, 0, 0]) for one in found.seen]
    failed = [int(failure.split()[1].rstrip(":")) for failure in found.failures]
    every = sorted([*read, *failed])
    assert len(every) == len(set(every)) == min(count, examples)
    assert every[0] == 0
    assert count == 1 or every[-1] == examples - 1
    steps = np.diff(every)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1
    assert all(number % 3 == 2 for number in failed)
    assert [one.called for one in found.seen] == [f"example {number}" for number in read]


def test_they_are_drawn_as_in_training() -> None:
    found = glance(Numbers(5), count=5, seed=7)
    assert found.failures == ["example 2: 2 is gone"]
    assert [one.example.conditions["draw"] for one in found.seen] == [
        keyed_generator(7, number, 0, "example").random() for number in (0, 1, 3, 4)
    ]


def test_of_a_stream_the_first() -> None:
    found = glance(Shards(), count=6, seed=0)
    assert [one.called for one in found.seen] == [
        "record 0 of shard 0",
        "record 1 of shard 0",
        "record 3 of shard 0",
        "record 0 of shard 1",
    ]
    assert found.failures == ["record 2 of shard 0: 2 is gone", "record 1 of shard 1: 5 is gone"]
