"""What the run folder already holds, told to a tracker that does not have it.

A tracker may have been added to a run that had begun, or have lost with its process what it had not yet written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

from PIL import Image

from diffloom import RunInfo
from diffloom.kinds import Tracking

SHEET = re.compile(r"step-(\d+)\.png")


def tell_recorded(tracking: Tracking, run: RunInfo, *, after: int) -> None:
    """Tell of all that happened after step `after` up to the step that the run goes on from, in its order."""
    happened = [
        (step, news)
        for step, news in (*_findings(run.folder), *_rows(run.folder), *_pictures(run.folder))
        if after < step <= run.first_step
    ]
    for _, news in sorted(
        happened, key=lambda item: item[0]
    ):  # a stable sort: a step's findings, row, picture
        news(tracking)


def _findings(folder: Path) -> Iterator[tuple[int, Callable[[Tracking], None]]]:
    for entry in _entries(folder / "findings.jsonl"):
        news = methodcaller("finding", entry["step"], entry["cause"], entry["text"])
        yield entry["step"], news


def _rows(folder: Path) -> Iterator[tuple[int, Callable[[Tracking], None]]]:
    for row in _entries(folder / "metrics.jsonl"):
        yield row["step"], methodcaller("figures", row["step"], row)


def _pictures(folder: Path) -> Iterator[tuple[int, Callable[[Tracking], None]]]:
    for path in sorted((folder / "samples").glob("step-*.png")):
        found = SHEET.fullmatch(path.name)
        if found is not None:
            yield int(found[1]), partial(_show, step=int(found[1]), path=path)


def _show(tracking: Tracking, *, step: int, path: Path) -> None:
    with Image.open(path) as sheet:
        tracking.picture(step, "samples", sheet)


def _entries(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; a kill may have cut the last one in half."""
    if not path.exists():
        return []
    return [
        json.loads(line)
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
        if line[-1:] == "\n"
    ]
