"""metrics.jsonl: one JSON object in a line, every `train.log_every` steps."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from diffloom.errors import RunError
from diffloom.training.replacement import replace_text


class MetricsFile:
    """The rows of a run, open for appending until `close()`.

    A resumed run goes on after `step`: later rows, and a last one that a kill cut in half, are dropped first.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self.path = path
        self.last = cut_after(path, step)
        """The last row that stays; empty where there is none."""
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise self._failure(error) from error

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row. Raises RunError when the disk is full."""
        line = memoryview(json.dumps(row).encode() + b"\n")
        try:
            while line:  # a disk that fills up takes what fits, and only then says so
                line = line[self._file.write(line) :]
        except OSError as error:
            raise self._failure(error) from error

    def sync(self) -> None:
        """Wait until the rows are on disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        self._file.close()

    def _failure(self, error: OSError) -> RunError:
        return RunError(
            f"{self.path}: cannot be written: {error.strerror}; free some space, then pass --resume"
        )


def cut_after(path: Path, step: int) -> dict[str, float]:
    """Drop what comes after `step`; returns the last row that stays."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    last: dict[str, float] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            is_later = row["step"] > step
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break  # cut in half by a kill: it is written again
            raise RunError(f"{path}:{number}: is no row of metrics; mend or remove this line") from error
        if is_later or not line.endswith("\n"):
            break
        kept.append(line)
        last = row
    if len(kept) < len(lines):
        replace_text(path, "".join(kept))
    return last
