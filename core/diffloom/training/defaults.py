"""Examples with the conditions that their data leave out, where a conditioner has a value for that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from diffloom.config import Document
from diffloom.kinds import DataInfo, Example, Examples, Stream


@dataclass(frozen=True)
class WithDefaults:
    """The same examples; what one lacks of `defaults` is added to its conditions."""

    examples: Examples
    defaults: dict[str, Any]

    @property
    def info(self) -> DataInfo:
        """What the data say of themselves."""
        return self.examples.info

    def __len__(self) -> int:
        return len(self.examples)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Example `index`."""
        example = self.examples.example(index, rng)
        return replace(example, conditions=self.defaults | example.conditions)


@dataclass(frozen=True)
class StreamWithDefaults:
    """The same stream; what one of its examples lacks of `defaults` is added to its conditions."""

    stream: Stream
    defaults: dict[str, Any]

    @property
    def info(self) -> DataInfo:
        """What the data say of themselves."""
        return self.stream.info

    @property
    def shards(self) -> int:
        """In how many pieces it can be read."""
        return self.stream.shards

    @property
    def shuffle_buffer(self) -> int:
        """How many records are shuffled at once."""
        return self.stream.shuffle_buffer

    def records(self, shard: int, *, first: int) -> Iterator[Any]:
        """The records of a shard."""
        return self.stream.records(shard, first=first)

    def example(self, record: Any, rng: np.random.Generator) -> Example:
        """A record decoded."""
        example = self.stream.example(record, rng)
        return replace(example, conditions=self.defaults | example.conditions)


@overload
def with_defaults(source: Stream, document: Document) -> Stream: ...
@overload
def with_defaults(source: Examples, document: Document) -> Examples: ...
def with_defaults(source: Examples | Stream, document: Document) -> Examples | Stream:
    """The examples with every default that the document's conditioners have; themselves where there is none."""
    found = {key: part.default(document.setting) for key, part in document.conditioners.items()}
    defaults = {key: value for key, value in found.items() if value is not None}
    if not defaults:
        return source
    if isinstance(source, Stream):
        return StreamWithDefaults(source, defaults)
    return WithDefaults(source, defaults)
