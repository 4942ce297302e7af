"""A data set read from one end to the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Example
from diffloom_hub_data.reading import Reading


class TableStream:
    """Shards as the library divides the data: files, or the row groups of Parquet files."""

    def __init__(
        self, table: Any, reading: Reading, info: DataInfo, *, shuffle_buffer: int, called: str
    ) -> None:
        self._table = table
        self._reading = reading
        self._called = called
        self.info = info
        self.shuffle_buffer = shuffle_buffer
        self.shards: int = table.num_shards

    def records(self, shard: int, *, first: int) -> Iterator[Any]:
        """The records of a shard from number `first` on, their pictures still encoded.

        Raises DataError where the shard cannot be read on.
        """
        records = iter(self._table.shard(self.shards, shard).skip(first))
        number = first
        while True:
            try:
                record = next(records)
            except StopIteration:
                return
            except Exception as error:  # of pyarrow, tarfile, fsspec, the hub's client
                raise DataError(
                    f"{self._called}: shard {shard} cannot be read beyond its record {number}: {error}"
                ) from error
            yield record
            number += 1

    def example(self, record: Any, rng: np.random.Generator) -> Example:
        """A record decoded."""
        return self._reading.example(record, rng)
