"""The order of a stream's records. Oracle: what an epoch is: every record once, in any cut."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Example, Stream
from diffloom.training.stream_order import Block, Mark, Record, blocks


class Numbered:
    """Shards of so many records each, which are their own names."""

    def __init__(self, sizes: list[int], buffer: int) -> None:
        self.sizes = sizes
        self.shards = len(sizes)
        self.shuffle_buffer = buffer
        self.info = DataInfo(examples=None)
        self.read: list[tuple[int, int]] = []

    def records(self, shard: int, *, first: int) -> Iterator[Any]:
        for number in range(first, self.sizes[shard]):
            self.read.append((shard, number))
            yield (shard, number)

    def example(self, record: Any, rng: np.random.Generator) -> Example:
        raise NotImplementedError


sizes = st.lists(st.integers(0, 12), min_size=1, max_size=5).filter(any)
buffers = st.integers(1, 20)
seeds = st.integers(0, 2**64 - 1)


def epoch(stream: Stream, number: int, *, seed: int, count: int) -> list[Block]:
    """The blocks of one epoch."""
    begins = blocks(stream, seed=seed, mark=Mark(position=number * count, epoch=number))
    found: list[Block] = []
    while sum(len(block.records) for block in found) < count:
        found.append(next(begins))
    return found


def names(found: list[Block]) -> list[Any]:
    return [record.content for block in found for record in block.records]


@given(sizes, buffers, seeds, st.integers(0, 5))
def test_an_epoch_visits_every_record_once(sizes: list[int], buffer: int, seed: int, number: int) -> None:
    every = [(shard, record) for shard, size in enumerate(sizes) for record in range(size)]
    found = epoch(Numbered(sizes, buffer), number, seed=seed, count=len(every))
    assert sorted(names(found)) == every
    assert all(record.content == (record.shard, record.number) for block in found for record in block.records)
    assert all(len(block.records) == buffer for block in found[:-1])


@given(sizes, buffers, seeds)
def test_it_can_be_entered_at_every_block(sizes: list[int], buffer: int, seed: int) -> None:
    """Through a checkpoint's tensors; the rest is the same, into the epochs that follow."""
    stream = Numbered(sizes, buffer)
    straight = list(islice(blocks(stream, seed=seed, mark=Mark()), 12))
    for number, block in enumerate(straight):
        mark = Mark.of(block.mark.tensors())
        assert mark == block.mark
        assert list(islice(blocks(stream, seed=seed, mark=mark), 12 - number)) == straight[number:]


@given(sizes, buffers, seeds)
def test_a_block_is_what_was_read_together(sizes: list[int], buffer: int, seed: int) -> None:
    """Shards are read whole, one after another; a block is as much of that as the buffer holds, in another order."""
    stream = Numbered(sizes, buffer)
    found = epoch(stream, 0, seed=seed, count=sum(sizes))
    shards = list(dict.fromkeys(shard for shard, _ in stream.read))
    assert stream.read == [(shard, number) for shard in shards for number in range(sizes[shard])]
    for place, block in enumerate(found):
        together = stream.read[place * buffer : (place + 1) * buffer]
        assert sorted(record.content for record in block.records) == sorted(together)


def test_blocks_are_shuffled_each_by_itself() -> None:
    """Thirty blocks of eight: no two have one shuffle, as chance would have it for one seed in a hundred."""
    stream = Numbered([240], 8)
    shuffles = {tuple(n % 8 for _, n in names([block])) for block in epoch(stream, 0, seed=1, count=240)}
    assert len(shuffles) == 30


def test_epochs_and_seeds_differ() -> None:
    stream = Numbered([10, 10, 10], 8)
    orders = {tuple(names(epoch(stream, e, seed=s, count=30))) for e in range(4) for s in range(4)}
    assert len(orders) == 16


def test_shards_are_shuffled_evenly() -> None:
    """Which of four shards comes first, in 800 epochs: χ² with 3 degrees of freedom passes 16.3 once in a thousand."""
    stream = Numbered([1, 1, 1, 1], 1)
    firsts = [next(blocks(stream, seed=0, mark=Mark(epoch=e))).records[0].shard for e in range(800)]
    assert ((np.bincount(firsts, minlength=4) - 200) ** 2 / 200).sum() < 16.3


@settings(max_examples=10)
@given(st.lists(st.just(0), min_size=1, max_size=3), buffers)
def test_nothing_to_read(sizes: list[int], buffer: int) -> None:
    with pytest.raises(DataError, match="there are no examples"):
        next(blocks(Numbered(sizes, buffer), seed=0, mark=Mark()))


def test_what_messages_call_a_record() -> None:
    assert str(Record(3, 14, b"")) == "record 14 of shard 3"
