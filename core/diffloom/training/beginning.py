"""The first examples of a stream by their number, for what looks at some before the training."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Example, Stream
from diffloom.process import keyed_generator

SHOWN = 64
"""How many: as many as a sheet of samples shows at most."""
LOOKED_AT = 4 * SHOWN
"""How many are tried, where some cannot be read."""


class Beginning:
    """The first examples of a stream that can be read, in the stream's own order; held as they are stored.

    Raises DataError where there are none.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._failure = ""
        self._records = list(islice(self._readable(), SHOWN))
        if not self._records:
            raise DataError(self._failure or "data: there are no examples")

    @property
    def info(self) -> DataInfo:
        """What the stream says of itself."""
        return self._stream.info

    def __len__(self) -> int:
        return len(self._records)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Example `index`."""
        return self._stream.example(self._records[index], rng)

    def _readable(self) -> Iterator[Any]:
        """Records that can be decoded; the others are told of when the training meets them."""
        stream = self._stream
        records = (r for shard in range(stream.shards) for r in stream.records(shard, first=0))
        for record in islice(records, LOOKED_AT):
            try:
                stream.example(record, keyed_generator(0, 0, 0, "example"))
            except DataError as error:
                self._failure = self._failure or str(error)
            else:
                yield record
