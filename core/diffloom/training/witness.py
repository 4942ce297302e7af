"""A look at what a run goes on from and what it is fed, from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from diffloom.training.feed import Batch
from diffloom.training.state import TrainState


class Fed(Protocol):
    """What feeds a loop."""

    def steps(self, *, first_step: int, last_step: int) -> Iterator[list[Batch]]:
        """What a process takes of each step after `first_step` up to `last_step`: a batch for each pass."""
        ...


Witness = Callable[[TrainState, Fed, str], Fed]
"""Called with state, feed and resolved configuration before a run's first step; gives the feed to train from.
What that gives must be what the feed gives."""
