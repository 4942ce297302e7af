"""The configuration of Weights & Biases."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from diffloom import RunInfo
from diffloom.kinds import Tracker, Tracking


class WeightsAndBiases(Tracker):
    """Weights & Biases, theirs or a server of one's own; a resumed run goes on as the same one.

    Whose it is comes from `wandb login`, or from WANDB_API_KEY: this file travels with the weights and holds no key.
    """

    name = "wandb"

    project: str = "diffloom"
    """The project that the run is listed in."""
    run_name: str | None = None
    """What the run is called; null takes the run folder's name."""
    entity: str | None = None
    """The user or team whose project it is; null is one's own."""
    tags: tuple[str, ...] = ()
    """Words to find the run by."""
    mode: Literal["online", "offline"] | None = None
    """`offline` writes into `wandb/` in the run folder, for `wandb sync` to send later; null does as WANDB_MODE says,
    and goes online where it says nothing."""

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Self]:
        """Offline: nothing is sent."""
        return (cls(mode="offline", tags=("specimen",)),)

    def build(self, run: RunInfo) -> Tracking:
        """Begin the run there, or go on with it. Raises DiffloomError where the library is missing or refuses."""
        from diffloom_trackers.wandb_run import WandbRun

        return WandbRun(self, run)
