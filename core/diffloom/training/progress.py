"""What a run shows while it goes on: a bar on a terminal, a few plain lines elsewhere, nothing to Python users."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Progress(Protocol):
    """Told of a run's progress."""

    def line(self, text: str) -> None:
        """Something worth saying once."""

    def begin(self, *, first_step: int, last_step: int, batch_size: int) -> None:
        """The first step is about to be taken."""

    def compiling(self, going_on: bool) -> None:
        """torch compiles a block from now on, or no longer."""

    def advance(self) -> None:
        """A step was taken."""

    def row(self, metrics: Mapping[str, float]) -> None:
        """A row of metrics was logged."""

    def end(self) -> None:
        """No more steps follow."""


class Silent:
    """Shows nothing."""

    def line(self, text: str) -> None: ...

    def begin(self, *, first_step: int, last_step: int, batch_size: int) -> None: ...

    def compiling(self, going_on: bool) -> None: ...

    def advance(self) -> None: ...

    def row(self, metrics: Mapping[str, float]) -> None: ...

    def end(self) -> None: ...


class Lines(Silent):
    """Plain lines on stderr."""

    def line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Bar(Silent):
    """A bar on stderr: steps, loss, images per second, time left."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._bar: RichProgress | None = None

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, *, first_step: int, last_step: int, batch_size: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  images/s {task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task("training", total=last_step, completed=first_step, loss="–", rate="–")
        self._bar.start()

    def compiling(self, going_on: bool) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description="compiling" if going_on else "training")

    def advance(self) -> None:
        assert self._bar is not None
        self._bar.advance(self._task)

    def row(self, metrics: Mapping[str, float]) -> None:
        assert self._bar is not None
        rate = f"{metrics['images_per_second']:.0f}"
        self._bar.update(self._task, loss=f"{metrics['loss']:.4f}", rate=rate)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def for_terminal() -> Progress:
    """A bar where stderr is a terminal, plain lines where it is not."""
    return Bar() if sys.stderr.isatty() else Lines()
