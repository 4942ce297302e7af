"""Signals that end a run, noticed between steps, so that it can save before it ends.

SIGINT is a person's Ctrl-C; SIGTERM is what preemption, `scancel` and `kill` send; SIGUSR1 is what SLURM is asked to
send some minutes before a job's time is over (`#SBATCH --signal=USR1@120`).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType

from diffloom.errors import UnfinishedError

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stopped(KeyboardInterrupt):
    """A signal ended the process while nothing was there to save."""

    def __init__(self, *, signal_number: int, told: str = "") -> None:
        self.signal_number = signal_number
        super().__init__(
            told or f"stopped at once by {signal.Signals(signal_number).name}; what was saved stands"
        )

    @property
    def exit_code(self) -> int:
        """130, what a shell expects after a Ctrl-C; 75, which tells a scheduler to go on later, after the others."""
        return 128 + signal.SIGINT if self.signal_number == signal.SIGINT else UnfinishedError.exit_code


class TrainingInterrupted(Stopped):
    """A signal ended training after a whole step; everything up to it is saved."""

    def __init__(self, *, signal_number: int, step: int, checkpoint: Path) -> None:
        self.step = step
        self.checkpoint = checkpoint
        super().__init__(
            signal_number=signal_number, told=f"interrupted after step {step}; saved {checkpoint}"
        )


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """While entered, each of these signals raises Stopped, where no Interrupt takes note of it: while a run starts.

    Of several processes each ends at once, as if this were not there: it may be waiting for another one inside of a
    library, where Python hears no signal.
    """
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    former = {number: signal.signal(number, _stop) for number in CAUGHT} if alone else {}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(signal_number=number)


class Interrupt:
    """While entered, the first of these signals is only remembered in `signal_number`; another Ctrl-C acts at once.

    A scheduler may well repeat itself, or have its signal passed on by a launcher: a second SIGTERM changes nothing.
    Python delivers signals to the main thread alone: entered elsewhere, this catches nothing.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __enter__(self) -> Interrupt:
        is_main = threading.current_thread() is threading.main_thread()
        self._former = {number: signal.signal(number, self._note) for number in CAUGHT} if is_main else {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is None:
            self.signal_number = number
        elif number == signal.SIGINT:
            raise Stopped(signal_number=number)


def ignore_interrupts() -> None:
    """In a process that reads data: the one that trains decides when it is over."""
    for number in CAUGHT:
        signal.signal(number, signal.SIG_IGN)
