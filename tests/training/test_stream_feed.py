"""Batches from a stream. Oracles: one process that reads straight on, beside any other cut; what the test broke;
objects counted."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Example
from diffloom.training.feed import Batch
from diffloom.training.split import Split
from diffloom.training.stream_feed import StreamFeed
from diffloom.training.stream_order import Mark

SIZES = (7, 0, 12, 4)
"""Records in each shard."""


@dataclass
class Numbers:
    """Record r of shard s is a picture of 100·s + r, plus a random number of its own; some cannot be read."""

    buffer: int = 5
    broken: frozenset[int] = frozenset()
    sizes: tuple[int, ...] = SIZES
    read: list[int] = field(default_factory=list)
    """Which were read, in order."""

    @property
    def info(self) -> DataInfo:
        return DataInfo(examples=None)

    @property
    def shards(self) -> int:
        return len(self.sizes)

    @property
    def shuffle_buffer(self) -> int:
        return self.buffer

    def records(self, shard: int, *, first: int) -> Iterator[Any]:
        for number in range(first, self.sizes[shard]):
            self.read.append(100 * shard + number)
            yield 100 * shard + number

    def example(self, record: Any, rng: np.random.Generator) -> Example:
        if record in self.broken:
            raise DataError(f"picture {record} is damaged")
        return Example(np.full((1, 2, 2), record + 0.5 * rng.random(), np.float32), {"label": record})


def feed(
    stream: Numbers, *, seed: int = 3, workers: int = 0, began: Mark | None = None, **split: Any
) -> StreamFeed:
    return StreamFeed(
        stream=stream,
        keys=("label",),
        shape=(1, 2, 2),
        seed=seed,
        split=Split(**{"batch_size": 6, **split}),
        workers=workers,
        began=began or Mark(),
    )


Row = tuple[int, int, bytes]


def rows(batches: Iterator[Batch]) -> list[Row]:
    return [
        (position, label, image.numpy().tobytes())
        for batch in batches
        for position, label, image in zip(batch.positions, batch.raw["label"], batch.images_BCHW, strict=True)
    ]


def straight(stream: Numbers, *, steps: int = 10) -> list[Row]:
    return rows(feed(stream).batches(first_step=0, last_step=steps))


def test_positions_count_and_epochs_are_whole() -> None:
    """60 positions of 23 records: two epochs of each once, and 14 more."""
    found = straight(Numbers())
    every = sorted(100 * shard + number for shard, size in enumerate(SIZES) for number in range(size))
    assert [position for position, _, _ in found] == list(range(60))
    labels = [label for _, label, _ in found]
    assert sorted(labels[:23]) == sorted(labels[23:46]) == every
    assert len(set(labels[46:])) == 14
    assert labels[:23] != labels[23:46]
    pictures = {image for _, _, image in found}
    assert len(pictures) == 60  # the same record is augmented anew


@settings(max_examples=25, deadline=None)
@given(
    buffer=st.integers(1, 30),
    processes=st.integers(1, 3),
    micro=st.none() | st.integers(1, 4),
    first=st.integers(0, 6),
)
def test_no_split_changes_the_examples(buffer: int, processes: int, micro: int | None, first: int) -> None:
    """All processes together take of each step what one process takes of it."""
    whole = rows(feed(Numbers(buffer)).batches(first_step=first, last_step=8))
    parts = [
        row
        for process in range(processes)
        for row in rows(
            feed(Numbers(buffer), processes=processes, process=process, micro_batch_size=micro).batches(
                first_step=first, last_step=8
            )
        )
    ]
    assert sorted(parts) == whole


def test_workers_change_nothing() -> None:
    stream = Numbers(broken=frozenset({3, 205}))
    whole = feed(stream).steps(first_step=1, last_step=6)
    read_ahead = feed(stream, workers=2, micro_batch_size=2).steps(first_step=1, last_step=6)
    for one, other in zip(whole, read_ahead, strict=True):
        assert [len(batch.positions) for batch in other] == [2, 2, 2]
        assert rows(iter(one)) == rows(iter(other))
        assert sorted(f for b in one for f in b.replaced) == sorted(f for b in other for f in b.replaced)


@pytest.mark.parametrize("buffer", [1, 4, 23, 100])
def test_it_goes_on_after_every_step(buffer: int) -> None:
    """From what a checkpoint keeps, and from nothing."""
    whole = straight(Numbers(buffer))
    begun = feed(Numbers(buffer))
    given_out = begun.steps(first_step=0, last_step=10)
    states = [begun.state(step=0)] + [begun.state(step=step) for step, _ in enumerate(given_out, 1)]
    for step, state in enumerate(states[:-1]):
        resumed = feed(Numbers(buffer), began=Mark.of(state))
        assert rows(resumed.batches(first_step=step, last_step=10)) == whole[6 * step :]
        assert rows(feed(Numbers(buffer)).batches(first_step=step, last_step=10)) == whole[6 * step :]


def test_a_state_that_lies_behind_is_not_used() -> None:
    began = feed(Numbers())
    list(began.steps(first_step=0, last_step=8))
    ahead = Mark.of(began.state(step=8))
    assert rows(feed(Numbers(), began=ahead).batches(first_step=2, last_step=10)) == straight(Numbers())[12:]


def test_what_was_read_before_is_not_read_again() -> None:
    """A million records in, the block that is gone on with is read anew and nothing else."""
    stream = Numbers(buffer=10, sizes=(3_000_000,))
    position = 1_000_000
    mark = Mark(position=position, block=position // 10, number=position)
    batches = feed(stream, began=mark).batches(first_step=position // 6 + 1, last_step=position // 6 + 3)
    assert len(rows(batches)) == 12
    assert min(stream.read) == position
    assert len(stream.read) <= 40  # 14 records in two blocks, and a block or two ahead


class TestUnreadable:
    def test_another_record_stands_in_its_place(self) -> None:
        broken = frozenset({2, 203, 204})
        whole, mended = straight(Numbers()), straight(Numbers(broken=broken))
        for (position, label, image), row in zip(whole, mended, strict=True):
            if label not in broken:
                assert row == (position, label, image)
            else:
                assert row[0] == position
                assert row[1] not in broken

    def test_it_is_told(self) -> None:
        stream = Numbers(broken=frozenset({2}))
        told = [text for batch in feed(stream).batches(first_step=0, last_step=4) for text in batch.replaced]
        assert told == ["record 2 of shard 0: picture 2 is damaged"]  # once in an epoch of 23

    @pytest.mark.parametrize("split", [{"micro_batch_size": 1}, {"processes": 2}, {"batch_size": 12}])
    def test_no_split_changes_which(self, split: dict[str, int]) -> None:
        stream = Numbers(buffer=23, broken=frozenset(range(200, 206)))
        whole = straight(stream)
        steps = 60 // split.get("batch_size", 6)
        parts = [
            row
            for process in range(split.get("processes", 1))
            for row in rows(feed(stream, process=process, **split).batches(first_step=0, last_step=steps))
        ]
        assert sorted(parts) == whole

    @pytest.mark.parametrize("workers", [0, 1])
    def test_nothing_that_can_be_read(self, workers: int) -> None:
        stream = Numbers(broken=frozenset(range(400)))
        with pytest.raises(DataError) as caught:
            next(feed(stream, workers=workers).batches(first_step=0, last_step=1))
        head, *listed = str(caught.value).splitlines()
        assert head == "8 records near each other cannot be read; look at where the data lie:"
        assert 1 <= len(listed) <= 5  # the buffer's
        assert all("is damaged" in line for line in listed)

    def test_a_stream_that_breaks_off(self) -> None:
        class Broken(Numbers):
            def records(self, shard: int, *, first: int) -> Iterator[Any]:
                yield from islice(super().records(shard, first=first), 3)
                raise DataError("the cable is out")

        given_out = feed(Broken(buffer=2, sizes=(9,)), batch_size=1).batches(first_step=0, last_step=9)
        assert len(rows(islice(given_out, 2))) == 2
        with pytest.raises(DataError, match="the cable is out"):
            list(given_out)


def test_examples_that_do_not_fit() -> None:
    other_shape = StreamFeed(stream=Numbers(), keys=(), shape=(3, 2, 2), seed=0, split=Split(batch_size=2))
    with pytest.raises(DataError, match=r"record \d+ of shard \d: its picture has shape \(1, 2, 2\)"):
        next(other_shape.batches(first_step=0, last_step=1))
    other_keys = StreamFeed(
        stream=Numbers(), keys=("hue",), shape=(1, 2, 2), seed=0, split=Split(batch_size=2)
    )
    with pytest.raises(DataError, match="has no hue for the conditioners; it has label"):
        next(other_keys.batches(first_step=0, last_step=1))


class Held:
    """A record that knows how many of its kind there are."""

    now = 0
    most = 0

    def __init__(self, number: int) -> None:
        self.number = number
        Held.now += 1
        Held.most = max(Held.most, Held.now)

    def __del__(self) -> None:
        Held.now -= 1


class Counting(Numbers):
    def records(self, shard: int, *, first: int) -> Iterator[Any]:
        return (Held(record) for record in super().records(shard, first=first))

    def example(self, record: Any, rng: np.random.Generator) -> Example:
        return super().example(cast(Held, record).number, rng)


@pytest.mark.parametrize("length", [500, 5000])
def test_memory_does_not_grow_with_the_stream(length: int) -> None:
    """At most three blocks are held, one that ends, one that begins and one that is read, and a step's records."""
    Held.now = Held.most = 0
    given_out = feed(Counting(buffer=50, sizes=(length,))).batches(first_step=0, last_step=length // 6)
    assert sum(len(batch.positions) for batch in given_out) == length // 6 * 6
    assert Held.most <= 3 * 50 + 6
    del given_out
    assert Held.now <= 6


def test_workers_are_sent_no_blocks() -> None:
    """What another process gets of a feed in the midst of a run: what decodes, and no records."""
    begun = feed(Numbers(buffer=2000, sizes=(5000,)))
    batches = begun.batches(first_step=0, last_step=10)
    next(batches)
    assert len(pickle.dumps(begun._decoder)) < 10_000 < len(pickle.dumps(begun._held))


def test_no_thread_outlives_its_reader() -> None:
    before = threading.active_count()
    batches = feed(Numbers()).batches(first_step=0, last_step=9)
    next(batches)
    assert threading.active_count() == before + 1
    del batches
    assert threading.active_count() == before


def test_a_checkpoint_keeps_little() -> None:
    state: dict[str, Tensor] = feed(Numbers()).state(step=0)
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {"mark": (5,)}
