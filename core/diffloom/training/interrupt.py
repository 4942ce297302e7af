"""Ctrl-C and SIGTERM: noticed between steps, so that a run can save before it ends."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType

CAUGHT = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(KeyboardInterrupt):
    """A signal ended training after a whole step; everything up to it is saved."""

    def __init__(self, *, signal_number: int, step: int, checkpoint: Path) -> None:
        self.signal_number = signal_number
        self.step = step
        self.checkpoint = checkpoint
        super().__init__(f"interrupted after step {step}; saved {checkpoint}")

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that ended so: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal_number


class Interrupt:
    """While entered, a first SIGINT or SIGTERM is only remembered in `signal_number`; a second acts at once.

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
        if self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number


def ignore_interrupts() -> None:
    """In a process that reads data: the one that trains decides when it is over."""
    for number in CAUGHT:
        signal.signal(number, signal.SIG_IGN)
