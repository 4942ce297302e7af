"""All captions of a table as a sequence, of which few are in memory at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Literal, overload

from diffloom_hub_data import values
from diffloom_hub_data.column_values import ROWS, ColumnValues


class Captions(Sequence[str]):
    """Row after row, of each row its captions; or the first alone."""

    def __init__(self, column: ColumnValues, several: Literal["random", "first"]) -> None:
        self._column = column
        self._several = several

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self._column), ROWS):
            yield from self._within(first)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        part = bisect_right(self._ends, place)
        return self._within(part * ROWS)[place - (self._ends[part - 1] if part else 0)]

    @cached_property
    def _ends(self) -> list[int]:
        """How many captions there are up to the end of each part of so many rows."""
        return list(accumulate(len(self._within(first)) for first in range(0, len(self._column), ROWS)))

    def _within(self, first: int) -> list[str]:
        """The captions of a part."""
        known = map(values.captions, self._column.between(first, first + ROWS))
        return [
            caption for several in known for caption in (several[:1] if self._several == "first" else several)
        ]
