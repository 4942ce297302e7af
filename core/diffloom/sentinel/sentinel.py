"""The sentinel of one run: what it hears, when it looks closely, what it has found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from diffloom.config.document import Train
from diffloom.sentinel.finding import Finding

if TYPE_CHECKING:
    from diffloom.training.engine import Engine
    from diffloom.training.feed import Batch
    from diffloom.training.state import TrainState
    from diffloom.training.step import Taken


class Watch:
    """Watches one run. It draws no random number of the run's and changes no weight."""

    def __init__(self, train: Train, state: TrainState, engine: Engine) -> None:
        self.train = train
        self.state = state
        self.engine = engine

    def heard(self, taken: Taken, *, waited_seconds: float, seconds: float) -> Sequence[Finding]:
        """After each optimiser step: what it took in all, and how long of that it waited for data."""
        return ()

    def look(self, passes: Sequence[Batch]) -> Sequence[Finding]:
        """A close look after a step, at the examples that it took."""
        return ()

    def why_not_finite(self, passes: Sequence[Batch], *, step: int) -> str | None:
        """After a step whose loss or gradient was not finite: the first module whose output was not, and from what."""
        return None
