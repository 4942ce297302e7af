"""Some examples, read as training would read them. Legend: N examples, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np

from diffloom.errors import DataError
from diffloom.kinds import Example, Examples, Stream
from diffloom.process import keyed_generator

Read = Callable[[np.random.Generator], Example]


@dataclass(frozen=True)
class Seen:
    """One of them."""

    called: str
    """Its name in messages."""
    example: Example


@dataclass
class Glance:
    """What was read, and what could not be."""

    seen: list[Seen] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def glance(source: Examples | Stream, *, count: int, seed: int) -> Glance:
    """Read `count` examples, spread evenly over the data; of a stream the first. Random choices are keyed by seed and
    number."""
    found = Glance()
    for number, called, read in _chosen(source, count):
        try:
            example = read(keyed_generator(seed, number, 0, "example"))
        except (DataError, OSError) as error:
            found.failures.append(f"{called}: {error}")
        else:
            found.seen.append(Seen(called, example))
    return found


def _chosen(source: Examples | Stream, count: int) -> Iterator[tuple[int, str, Read]]:
    """The number of each, its name, and what reads it."""
    if isinstance(source, Stream):
        records = (
            (f"record {number} of shard {shard}", record)
            for shard in range(source.shards)
            for number, record in enumerate(source.records(shard, first=0))
        )
        for number, (called, record) in enumerate(islice(records, count)):
            yield number, called, partial(source.example, record)
        return
    chosen = min(count, len(source))
    for place in range(chosen):
        index = place * (len(source) - 1) // max(1, chosen - 1)
        yield index, f"example {index}", partial(source.example, index)
