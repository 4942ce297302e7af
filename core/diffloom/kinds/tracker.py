"""Kind `tracker`: where a run's numbers and pictures go, beside the run folder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffloom.hooks import RunInfo


class Tracking(Protocol):
    """What a tracker builds: an open connection to wherever it tells."""

    def figures(self, step: int, row: Mapping[str, float]) -> None:
        """A row of metrics after `step` optimiser steps, as metrics.jsonl has it."""
        ...

    def picture(self, step: int, name: str, picture: Image) -> None:
        """A picture: `samples`, and whatever else is drawn."""
        ...

    def finding(self, step: int, title: str, text: str) -> None:
        """Something the sentinel noticed."""
        ...

    def close(self, reason: str) -> None:
        """The run stops; `reason` is `finished`, `interrupted` or `failed`."""
        ...


class Tracker(Component):
    """Tells another program of a run. It cannot change a number, nor end the run."""

    kind: ClassVar[str] = "tracker"

    @abstractmethod
    def build(self, run: RunInfo) -> Tracking:
        """Begin to tell of a run, or go on after `run.first_step`; what was told of later steps is replaced.

        Raises DiffloomError where the program is not installed or refuses.
        """
