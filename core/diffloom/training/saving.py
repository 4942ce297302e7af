"""When and in what form a run is saved: one file, or where weights are sharded a folder of everyone's shares, and one
file at the end."""

from __future__ import annotations

from pathlib import Path

from diffloom.checkpoint import save_checkpoint
from diffloom.config.document import Train
from diffloom.training.feed import Feed
from diffloom.training.journal import Journal
from diffloom.training.parallel import Parallel
from diffloom.training.processes import Processes
from diffloom.training.run_folder import RunFolder
from diffloom.training.shares import save_shares
from diffloom.training.snapshots import Snapshots, snapshot_groups
from diffloom.training.state import TrainState, whole
from diffloom.training.stream_feed import StreamFeed

FEED = "feed"
"""The group of where a stream can be entered; it only spares reading."""


class Saving:
    """Writes the checkpoints of a run. All processes take part."""

    def __init__(
        self,
        folder: RunFolder,
        train: Train,
        *,
        config: str,
        saved_step: int,
        processes: Processes,
        parallel: Parallel,
        feed: Feed | StreamFeed,
    ) -> None:
        self.folder = folder
        self._train = train
        self._config = config
        self._saved_step = saved_step
        self._processes = processes
        self._parallel = parallel
        self._feed = feed

    @property
    def standing(self) -> str:
        """The end of a message about a run that broke off: which checkpoint stands."""
        return self.folder.standing

    def is_saved(self, step: int) -> bool:
        """Whether the checkpoint of a step is on disk."""
        return step == self._saved_step

    def is_drawn(self, step: int) -> bool:
        """Whether the picture of a step is, as the main process sees it."""
        ((is_there,), *_) = self._processes.numbers(int(self.folder.picture(step).exists()))
        return bool(is_there)

    def save(self, state: TrainState, journal: Journal) -> Path:
        """Write the state, unless that is done; returns its path. Raises CheckpointError when the disk is full."""
        folder, step, train = self.folder, state.step, self._train
        in_shares = self._parallel.is_sharded and step < train.steps
        path = folder.checkpoint(step, in_shares=in_shares)
        if self.is_saved(step):
            return path
        groups = state.groups()
        if isinstance(self._feed, StreamFeed):
            groups[FEED] = self._feed.state(step=step)
        if in_shares:
            save_shares(path, groups, step=step, config=self._config, processes=self._processes)
        elif self._parallel.is_sharded:
            groups = whole(groups, keep=self._processes.is_main)
        with self._processes.together():
            if self._processes.is_main:
                if not in_shares:
                    save_checkpoint(path, groups, step=step, config=self._config)
                folder.prune(keep=train.keep_checkpoints, every=train.keep_every)
            journal.saved(step, path)
        self._saved_step = step
        return path

    def snapshot(self, state: TrainState) -> None:
        """Write the averages that others can be made of later. Raises CheckpointError when the disk is full."""
        kept = snapshot_groups(state.groups(), module=state.module, train=self._train)
        if self._parallel.is_sharded:
            kept = whole(kept, keep=self._processes.is_main)
        with self._processes.together():
            if self._processes.is_main:
                path = Snapshots(self.folder.path).path(state.step)
                save_checkpoint(path, kept, step=state.step, config=self._config)
