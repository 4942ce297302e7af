"""findings.jsonl: what the sentinel found, one JSON object in a line."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from diffloom.errors import RunError
from diffloom.sentinel import Finding
from diffloom.training.metrics import cut_after


class FindingsFile:
    """The findings of a run. A resumed run goes on after `step`: later ones are dropped first.

    The file is made with the first finding, so a healthy run has none.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self.path = path
        cut_after(path, step)

    def write(self, finding: Finding) -> None:
        """Append a finding. Raises RunError when the disk is full."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(finding)) + "\n")
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be written: {error.strerror}; free some space, then pass --resume"
            ) from error
