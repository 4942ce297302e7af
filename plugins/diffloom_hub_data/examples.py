"""A table as examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffloom.kinds import DataInfo, Example
from diffloom_hub_data.reading import Reading


class TableExamples:
    """Random access to a table's rows, by memory map: only the row that is asked for is read, only its pictures are
    decoded, and only the names of files are copied to processes that read ahead."""

    def __init__(self, table: Any, reading: Reading, info: DataInfo) -> None:
        self._table = table
        self._reading = reading
        self.info = info

    def __len__(self) -> int:
        return len(self._table)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Row `index`."""
        return self._reading.example(self._table[index], rng)
