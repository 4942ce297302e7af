"""The order of a stream's records: a function of (seed, epoch) alone, that can be entered anywhere.

Each epoch visits the shards in a shuffle of its own. Records are read one after another into blocks as large as the
shuffle buffer, and each block is shuffled by itself: unlike a buffer that is filled up as it empties, it can be had
again from where it begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from diffloom.errors import DataError
from diffloom.kinds import Stream
from diffloom.process import keyed_generator


class Record(NamedTuple):
    """One record and where it was read."""

    shard: int
    number: int
    """Of the record within its shard."""
    content: Any

    def __str__(self) -> str:
        return f"record {self.number} of shard {self.shard}"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Where a block begins: all that is needed to go on from there."""

    position: int = 0
    """Its first record's place in the run."""
    epoch: int = 0
    block: int = 0
    """Its number within the epoch."""
    turn: int = 0
    """How many shards of the epoch were read whole before it."""
    number: int = 0
    """How many records of the next one were."""

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"mark": torch.tensor(astuple(self))}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Mark:
        """What `tensors` gave."""
        position, epoch, block, turn, number = tensors["mark"].tolist()
        return cls(position=position, epoch=epoch, block=block, turn=turn, number=number)


@dataclass(frozen=True)
class Block:
    """Records that were shuffled together."""

    mark: Mark
    records: list[Record]

    @property
    def end(self) -> int:
        """The position behind its last record."""
        return self.mark.position + len(self.records)


def blocks(stream: Stream, *, seed: int, mark: Mark) -> Iterator[Block]:
    """The blocks from a mark on, epoch after epoch without end. Raises DataError for a stream without records."""
    while True:
        order = keyed_generator(seed, mark.epoch, 0, "shards").permutation(stream.shards)
        reading = _reading(stream, order.tolist(), mark)
        while read := list(islice(reading, stream.shuffle_buffer)):
            shuffle = keyed_generator(seed, mark.epoch, mark.block, "buffer").permutation(len(read))
            yield Block(mark, [read[place][1] for place in shuffle])
            turn, last = read[-1]
            mark = Mark(
                position=mark.position + len(read),
                epoch=mark.epoch,
                block=mark.block + 1,
                turn=turn,
                number=last.number + 1,
            )
        if mark.block == 0:
            raise DataError("data: there are no examples")
        mark = Mark(position=mark.position, epoch=mark.epoch + 1)


def _reading(stream: Stream, order: list[int], mark: Mark) -> Iterator[tuple[int, Record]]:
    """The records of an epoch from a mark on, each with its shard's turn."""
    for turn in range(mark.turn, len(order)):
        first = mark.number if turn == mark.turn else 0
        for number, content in enumerate(stream.records(order[turn], first=first), start=first):
            yield turn, Record(order[turn], number, content)
