"""Progress bars on long work: shown on a terminal, quiet elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffloom.process import Step


@contextmanager
def step_progress(title: str, *, samples: int, batch_size: int) -> Iterator[Callable[[Step], None]]:
    """A bar over the steps of sampling; yields what `Pipeline.sample(on_step=...)` takes.

    The total is known once the second batch begins: it shows a moving bar until then.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images/s {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    batches = -(-samples // batch_size)
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(title, total=None, rate="–")
        done = 0

        def on_step(step: Step) -> None:
            nonlocal done
            if step.index == 0 and done and bar.tasks[0].total is None:
                bar.update(task, total=done * batches)
            done += 1
            bar.advance(task)
            elapsed = bar.tasks[0].elapsed or 0.0
            total = bar.tasks[0].total
            if total and elapsed:
                bar.update(task, rate=f"{done / total * samples / elapsed:.1f}")

        yield on_step
