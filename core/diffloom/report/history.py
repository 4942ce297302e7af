"""The rows of metrics.jsonl as columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffloom.errors import RunError

Column = NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """What was logged, a value for each row; NaN where a row has none."""

    steps: NDArray[np.int64]
    columns: dict[str, Column]
    """By the figures' names, `step` left out, in the order in which they first came."""

    def __len__(self) -> int:
        return len(self.steps)

    def last(self, name: str) -> float | None:
        """A figure's newest value that is a number; None where there is none."""
        column = self.columns.get(name, np.empty(0))
        finite = column[np.isfinite(column)]
        return float(finite[-1]) if len(finite) else None


def read_history(path: Path) -> History:
    """Read the rows. A last line that is still being written is left out; there may be none at all.

    Raises RunError for a line that is no row.
    """
    rows = []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            break
        try:
            row = json.loads(line)
            rows.append((int(row.pop("step")), {name: float(value) for name, value in row.items()}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{path}:{number}: is no row of metrics; mend or remove this line") from error
    names = dict.fromkeys(name for _, row in rows for name in row)
    return History(
        np.array([step for step, _ in rows], dtype=np.int64),
        {name: np.array([row.get(name, np.nan) for _, row in rows], dtype=np.float64) for name in names},
    )
