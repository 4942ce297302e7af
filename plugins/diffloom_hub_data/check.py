"""Labels, captions and numbers, all looked at once before the training. Legend: N examples."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffloom.errors import DataError
from diffloom_hub_data import values
from diffloom_hub_data.column_values import ColumnValues
from diffloom_hub_data.columns import Columns

LISTED, NAMED = 20, 3
"""How many different problems a message lists, and how many rows of each it names."""


class Problems:
    """What is wrong with a table, how often, and where first."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._rows: dict[str, list[int]] = {}

    def add(self, row: int, problem: str) -> None:
        """One row's."""
        self._counts[problem] += 1
        named = self._rows.setdefault(problem, [])
        if len(named) < NAMED:
            named.append(row)

    def require_none(self, place: str, *, remedy: str) -> None:
        """Raises DataError that counts all and lists the most frequent kinds."""
        if not self._counts:
            return
        total = self._counts.total()
        told = [
            f"  {problem}: {count} row{'s' if count > 1 else ''} "
            f"({', '.join(map(str, self._rows[problem]))}{', …' if count > NAMED else ''})"
            for problem, count in self._counts.most_common(LISTED)
        ]
        more = [f"  … and {len(self._counts) - LISTED} kinds more"] if len(self._counts) > LISTED else []
        head = f"{place}: {total} problem{'s' if total > 1 else ''}; {remedy}:"
        raise DataError("\n".join([head, *told, *more]))


def checked(table: Any, columns: Columns, *, place: str) -> dict[str, NDArray[np.integer[Any]]]:
    """The class ids, (N,), of each condition that is a label.

    Raises DataError naming every label, caption and number that is missing, empty or unknown.
    """
    problems = Problems()
    labels: dict[str, NDArray[np.integer[Any]]] = {}
    for key, column in columns.conditions.items():
        if isinstance(column, tuple) or column.holds == "picture":
            continue
        if column.holds == "label":
            labels[key] = np.zeros(len(table), np.min_scalar_type(len(column.classes)))
        for row, value in enumerate(ColumnValues(table, column)):
            try:
                known = values.known(column, value)
            except ValueError as error:
                problems.add(row, f"{key}: {error}")
                continue
            if column.holds == "label":
                labels[key][row] = known
    problems.require_none(place, remedy="mend or remove these rows, or leave the condition out")
    return labels
