"""The configuration of TensorBoard."""

from __future__ import annotations

from diffloom import RunInfo
from diffloom.kinds import Tracker, Tracking


class TensorBoard(Tracker):
    """TensorBoard's event files, in `tensorboard/` in the run folder: `tensorboard --logdir RUN`."""

    name = "tensorboard"

    def build(self, run: RunInfo) -> Tracking:
        """Open the run's event files. Raises DiffloomError where the library is missing."""
        from diffloom_trackers.event_files import EventFiles

        return EventFiles(run)
