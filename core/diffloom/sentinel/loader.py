"""A run that waits for its data."""

from __future__ import annotations

from collections.abc import Iterator

from diffloom.sentinel.finding import Alarm

IDLE_STEPS, WINDOW = 10, 100
"""Steps at the start of a run that are not counted, while workers start and files are opened; and steps that are judged
together."""
SHARE, SECONDS = 0.5, 0.01
"""Waiting is named where it takes more than this share of the time, and more than this at each step: readers cost
something themselves."""


class Loader:
    """Watches how long steps wait."""

    def __init__(self, *, workers: int) -> None:
        self._workers = workers
        self._steps = -IDLE_STEPS
        self._waited = 0.0
        self._seconds = 0.0

    def heard(self, *, waited_seconds: float, seconds: float) -> None:
        """Take in a step: its time, and how much of that it waited."""
        self._steps += 1
        if self._steps > 0:
            self._waited += waited_seconds
            self._seconds += seconds

    def judged(self) -> Iterator[Alarm]:
        """What the last steps show, once there are enough."""
        if self._steps < WINDOW:
            return
        share, each = self._waited / self._seconds, self._waited / self._steps
        if share > SHARE and each > SECONDS:
            yield Alarm(
                "loader-starved",
                f"{share:.0%} of the time of the last {self._steps} steps was spent waiting for data, "
                f"{1000 * each:.0f} ms at each; raise train.workers (now {self._workers}), or keep smaller files: "
                "pictures at the size they are trained at, latents by `diffloom cache`",
                figure=share,
            )
        self._steps, self._waited, self._seconds = 0, 0.0, 0.0
