"""The values of one column, without the rest of the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diffloom_hub_data.columns import Column

ROWS = 1000
"""How many rows are Python's objects at once."""


class ColumnValues:
    """A table's column, read by memory map. Only the names of files are copied to another process."""

    def __init__(self, table: Any, column: Column) -> None:
        self._rows = table.select_columns([column.name]).with_format("arrow")
        self._column = column

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        for first in range(0, len(self), ROWS):
            yield from self.between(first, first + ROWS)

    def between(self, first: int, last: int) -> list[Any]:
        """Those of the rows from `first` up to `last`."""
        rows = self._rows[first : min(last, len(self))]
        return [self._column.of(value) for value in rows[self._column.name].to_pylist()]
