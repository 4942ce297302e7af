"""Progress bars on long work: shown on a terminal, quiet elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from diffloom.process import Step


class ImageProgress:
    """Images drawn so far: whole ones, and of those in the network the part that is done."""

    def __init__(self, bar: Progress, task: TaskID, *, title: str, images: int, steps: int) -> None:
        self._bar, self._task, self._title, self._images, self._steps = bar, task, title, images, steps
        self.whole = 0
        """Images that are there, as far as `on_images` was told."""
        self._found = 0
        self._drawn = 0.0
        self._walking = 0.0
        self._compiling_since: float | None = None
        self._compiled_seconds = 0.0

    def compiling(self, going_on: bool) -> None:
        """What `told_compiling` calls: meanwhile the bar says so, and the time is no part of the rate."""
        now = time.monotonic()
        if self._compiling_since is not None:
            self._compiled_seconds += now - self._compiling_since
        self._compiling_since = now if going_on else None
        self._bar.update(self._task, description="compiling" if going_on else self._title)

    def on_step(self, step: Step) -> None:
        """What `Pipeline.sample(on_step=...)` calls. A walk that begins anew follows one that arrived."""
        if step.index == 0:
            self._drawn += self._walking
        self._walking = len(step.x_t_BCHW) * min(1.0, (step.index + 1) / self._steps)
        self._show()

    def on_images(self, count: int, drawn: bool) -> None:
        """What `Pipeline.sample_to(on_images=...)` calls: these are whole."""
        self.whole += count
        if drawn:
            self._drawn, self._walking = self._drawn + self._walking, 0.0
        else:
            self._found += count
        self._show()

    def _show(self) -> None:
        done = self._drawn + self._walking
        drawing = (self._bar.tasks[self._task].elapsed or 0.0) - self._compiled_seconds
        rate = f"{done / drawing:.3g} images/s" if drawing > 0 and done else ""
        self._bar.update(
            self._task,
            completed=done,
            total=self._images - self._found,  # what was there before says nothing of how long the rest takes
            rate=rate,
            text=f"{int(self._found + done)}/{self._images}",
        )


@contextmanager
def image_progress(title: str, *, images: int, steps: int, shown: bool = True) -> Iterator[ImageProgress]:
    """A bar over images, with images in a second and the time that is left; `steps` are those of a walk."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not (shown and sys.stderr.isatty()),
    ) as bar:
        task = bar.add_task(title, total=images, rate="", text=f"0/{images}")
        yield ImageProgress(bar, task, title=title, images=images, steps=steps)
