"""What one run writes and tells while it goes on: rows, findings, pictures. Of several processes, the main one does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL.Image import Image

from diffloom.observers import Observers
from diffloom.pictures import save_png
from diffloom.sentinel import Finding
from diffloom.training.environment import SessionRecord
from diffloom.training.findings import FindingsFile
from diffloom.training.metrics import MetricsFile
from diffloom.training.progress import Progress
from diffloom.training.tracking import Trackers


class Journal(Protocol):
    """Who wants to know what happens in a run."""

    @property
    def seconds(self) -> float:
        """How long the run had taken by the last row that there is."""
        ...

    def begin(self, *, first_step: int, last_step: int, batch_size: int) -> None:
        """The first step is about to be taken."""
        ...

    def line(self, text: str) -> None:
        """Something worth saying once."""
        ...

    def advance(self) -> None:
        """A step was taken."""
        ...

    def row(self, row: Mapping[str, float]) -> None:
        """A row of metrics. Raises RunError when the disk is full."""
        ...

    def finding(self, finding: Finding) -> None:
        """The sentinel noticed something."""
        ...

    def picture(self, step: int, grid: Image, *, path: Path, recipe: Mapping[str, Any]) -> None:
        """Samples were drawn, and are written to `path`."""
        ...

    def saving(self) -> None:
        """A checkpoint is about to be written: the rows before it must be on disk."""
        ...

    def saved(self, step: int, path: Path) -> None:
        """A checkpoint is on disk."""
        ...

    def end(self, step: int, reason: str) -> None:
        """The run stops."""
        ...


class Silence:
    """The journal of a process that is not the main one."""

    seconds = 0.0

    def begin(self, *, first_step: int, last_step: int, batch_size: int) -> None: ...

    def line(self, text: str) -> None: ...

    def advance(self) -> None: ...

    def row(self, row: Mapping[str, float]) -> None: ...

    def finding(self, finding: Finding) -> None: ...

    def picture(self, step: int, grid: Image, *, path: Path, recipe: Mapping[str, Any]) -> None: ...

    def saving(self) -> None: ...

    def saved(self, step: int, path: Path) -> None: ...

    def end(self, step: int, reason: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class RunJournal:
    """The journal of a run: its files, its observers and trackers, and what is on the terminal."""

    metrics: MetricsFile
    findings: FindingsFile
    observers: Observers
    trackers: Trackers
    progress: Progress
    record: SessionRecord

    @property
    def seconds(self) -> float:
        return float(self.metrics.last.get("seconds", 0.0))

    def begin(self, *, first_step: int, last_step: int, batch_size: int) -> None:
        self.observers.run_start()
        self.progress.begin(first_step=first_step, last_step=last_step, batch_size=batch_size)

    def line(self, text: str) -> None:
        self.progress.line(text)

    def advance(self) -> None:
        self.progress.advance()

    def row(self, row: Mapping[str, float]) -> None:
        step = int(row["step"])
        self.metrics.write(row)
        self.progress.row(row)
        self.trackers.figures(step, row)
        self.observers.step_end(step, row)

    def finding(self, finding: Finding) -> None:
        self.findings.write(finding)
        self.progress.line(f"step {finding.step}: {finding.cause}: {finding.text}")
        self.trackers.finding(finding)
        self.observers.finding(finding)

    def picture(self, step: int, grid: Image, *, path: Path, recipe: Mapping[str, Any]) -> None:
        save_png(grid, path, recipe=recipe)
        self.trackers.picture(step, "samples", grid)
        self.observers.samples(step, grid)

    def saving(self) -> None:
        self.metrics.sync()

    def saved(self, step: int, path: Path) -> None:
        self.observers.checkpoint_saved(step, path)

    def end(self, step: int, reason: str) -> None:
        self.progress.end()
        self.metrics.close()
        self.trackers.close(reason)
        self.observers.run_end(step, reason)
        self.record.end(step=step, reason=reason)
