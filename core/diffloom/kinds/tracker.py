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
        """A row of metrics after `step` optimiser steps, as metrics.jsonl has it, `step` among its names."""
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
    """Tells another program of a run. It cannot change a number, nor end the run.

    Steps never go back: a step's findings come first, then its row, then its pictures. One that raises is reported once
    and hears no more. Only the main process tells.
    """

    kind: ClassVar[str] = "tracker"

    @abstractmethod
    def build(self, run: RunInfo) -> Tracking:
        """Begin to tell of a run, or go on with it after `run.first_step`.

        A killed run may have told of steps that are now taken again, with the same numbers, and its tracker may have
        lost earlier ones on the way: in the end each row and each picture is there once. What happened up to
        `run.first_step` can be read in `run.folder`: metrics.jsonl, findings.jsonl, samples/.

        Keys and passwords are the program's own affair (its login, environment variables), never a field: the
        configuration travels with the weights. Raises DiffloomError where the program is not installed or refuses.
        """
