"""A stream → batches, in an order of (seed, epoch) alone. Legend: C channels, H height, W width.

Every process reads the whole stream, and decodes only the examples that it takes: what is stored is read as often as
there are processes, which is simple, and exact for any number of them. Within a process one thread reads ahead, and its
workers decode.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from diffloom.errors import DataError
from diffloom.kinds import Stream
from diffloom.process import keyed_generator
from diffloom.training.batch import Batch, Item, Unfit, Wanted, collated
from diffloom.training.feed import ATTEMPTS, begin_worker
from diffloom.training.split import Split
from diffloom.training.stream_order import Block, Mark, Record, blocks


@dataclass(kw_only=True)
class StreamFeed:
    """The batches of a run that is trained from a stream.

    The order, and so the run, is a function of the seed and the data. What a checkpoint keeps of it, `state`, only
    spares reading what was read before.
    """

    stream: Stream
    keys: tuple[str, ...]
    """The conditions the model takes."""
    shape: tuple[int, ...]
    """(C, H, W) of every picture."""
    seed: int
    split: Split
    """Which examples of a step this process takes, and in how many passes."""
    workers: int = 0
    """Processes that decode ahead; 0 decodes in this one."""
    pinned: bool = False
    """Whether pictures lie where a GPU can fetch them by itself."""
    began: Mark = field(default_factory=Mark)
    """Where a checkpoint says that the stream can be entered."""
    _held: deque[Block] = field(init=False, default_factory=deque)
    """The blocks from which records may still be wanted."""

    def steps(self, *, first_step: int, last_step: int) -> Iterator[list[Batch]]:
        """What this process takes of each step after `first_step` up to `last_step`: a batch for each pass.

        Raises DataError for unfit examples, and for a stream that cannot be read on.
        """
        batches = self.batches(first_step=first_step, last_step=last_step)
        for _ in range(first_step, last_step):
            yield list(islice(batches, len(self.split.passes)))

    def batches(self, *, first_step: int, last_step: int) -> Iterator[Batch]:
        """The batches of these steps, pass after pass. Raises DataError as `steps` does."""
        loader = DataLoader(
            self._decoder,
            batch_sampler=self._passes(first_step, last_step),
            collate_fn=_gathered,
            num_workers=self.workers,
            pin_memory=self.pinned,
            worker_init_fn=begin_worker,
            generator=torch.Generator(),  # the global one is not ours to draw from
        )
        for gathered in loader:
            batch = self._replaced(gathered.items) if isinstance(gathered, _Holey) else gathered
            if isinstance(batch, Unfit):
                raise DataError(batch.message)
            self._forget(before=batch.positions[0] // self.split.batch_size * self.split.batch_size)
            yield batch

    def state(self, *, step: int) -> dict[str, Tensor]:
        """Where to enter the stream to go on after a step, which must not lie before the last one given out."""
        position = step * self.split.batch_size
        marks = [block.mark for block in self._held if block.mark.position <= position]
        return (marks[-1] if marks else self.began).tensors()

    @property
    def _decoder(self) -> _Decoder:
        return _Decoder(self.stream, self.seed, Wanted(self.keys, self.shape))

    def _passes(self, first_step: int, last_step: int) -> Iterator[list[_Placed]]:
        """The records of each pass's batch: the loader asks for them as its workers become free."""
        size = self.split.batch_size
        read = self._read(first_step * size)
        for _ in range(first_step, last_step):
            step = list(islice(read, size))
            for places in self.split.passes:
                yield [step[place] for place in places]

    def _read(self, position: int) -> Iterator[_Placed]:
        """The records from a position on. While those of one block are taken, a thread reads the next."""
        mark = self.began if self.began.position <= position else Mark()
        following = blocks(self.stream, seed=self.seed, mark=mark)
        self._held.clear()
        with ThreadPoolExecutor(1, thread_name_prefix="stream") as thread:
            ahead = thread.submit(next, following)
            while True:
                block = ahead.result()
                ahead = thread.submit(next, following)
                if block.end <= position:
                    continue
                self._held.append(block)
                for place in range(max(position - block.mark.position, 0), len(block.records)):
                    yield _Placed(block.mark.position + place, block.records[place])

    def _replaced(self, items: Sequence[Item | Unfit | _Unread]) -> Batch | Unfit:
        """The batch with another record of the same block, drawn by its position, for each that could not be read."""
        return collated([self._another(item) if isinstance(item, _Unread) else item for item in items])

    def _another(self, unread: _Unread) -> Item | Unfit:
        position = unread.position
        block = next(block for block in self._held if block.mark.position <= position < block.end)
        failures = [unread.failure]
        for attempt in range(1, ATTEMPTS):
            draw = keyed_generator(self.seed, position, attempt, "another").integers(len(block.records))
            placed = _Placed(position, block.records[int(draw)])
            found = self._decoder.decoded(placed, attempt=attempt, failures=failures)
            if not isinstance(found, _Unread):
                return found
            failures.append(found.failure)
        listed = "\n".join(f"  {failure}" for failure in dict.fromkeys(failures))
        return Unfit(
            f"{ATTEMPTS} records near each other cannot be read; look at where the data lie:\n{listed}"
        )

    def _forget(self, *, before: int) -> None:
        """Let go of blocks that end before a position."""
        while self._held and self._held[0].end <= before:
            self._held.popleft()


@dataclass(frozen=True)
class _Placed:
    """A record at its position."""

    position: int
    record: Record


@dataclass(frozen=True)
class _Unread:
    """A position whose record cannot be read."""

    position: int
    failure: str


@dataclass(frozen=True)
class _Holey:
    """The items of a batch of which some could not be read."""

    items: list[Item | Unfit | _Unread]


@dataclass(frozen=True)
class _Decoder(Dataset["Item | Unfit | _Unread"]):
    """Makes examples of records, in whichever process."""

    stream: Stream
    seed: int
    wanted: Wanted

    def __getitem__(self, placed: _Placed) -> Item | Unfit | _Unread:
        return self.decoded(placed, attempt=0, failures=())

    def decoded(self, placed: _Placed, *, attempt: int, failures: Sequence[str]) -> Item | Unfit | _Unread:
        """The example of a record, which is the so-manyth to be tried at its position."""
        position, record = placed.position, placed.record
        rng = keyed_generator(self.seed, position, attempt, "example")
        try:
            example = self.stream.example(record.content, rng)
        except (DataError, OSError) as error:
            return _Unread(position, f"{record}: {error}")
        return self.wanted.item(example, position=position, called=str(record), replaced=failures)


def _gathered(items: Sequence[Item | Unfit | _Unread]) -> Batch | Unfit | _Holey:
    """A batch, unless it has holes, which the process that holds the records fills."""
    if any(isinstance(item, _Unread) for item in items):
        return _Holey(list(items))
    return collated([item for item in items if not isinstance(item, _Unread)])
