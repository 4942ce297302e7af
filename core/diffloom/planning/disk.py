"""What a run leaves on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diffloom.config.document import Train
from diffloom.training.snapshots import combinable


@dataclass(frozen=True)
class Disk:
    """Bytes, as far as they are known before: pictures are compressed, and not counted."""

    checkpoint: int
    """Of one checkpoint."""
    checkpoints: int
    """How many stay in the end."""
    snapshot: int
    """Of one snapshot; 0 where none is taken."""
    snapshots: int
    """How many are taken."""
    pictures: int
    """How many sheets of samples are drawn."""

    @property
    def total(self) -> int:
        """In the end."""
        return self.checkpoint * self.checkpoints + self.snapshot * self.snapshots

    @property
    def peak(self) -> int:
        """At most: a new checkpoint is whole before an old one is removed."""
        return self.total + self.checkpoint


def disk(train: Train, groups: Mapping[str, int]) -> Disk:
    """The files of a run whose checkpoints have groups of these sizes."""
    taken = set(range(train.checkpoint_every, train.steps + 1, train.checkpoint_every)) | {train.steps}
    newest = set(sorted(taken)[-train.keep_checkpoints :])
    kept = {step for step in taken if train.keep_every and step % train.keep_every == 0}
    snapshot = sum(groups[group] for group in combinable(train)) if train.snapshot_every else 0
    return Disk(
        checkpoint=sum(groups.values()),
        checkpoints=len(newest | kept),
        snapshot=snapshot,
        snapshots=-(-train.steps // train.snapshot_every) if train.snapshot_every and snapshot else 0,
        pictures=-(-train.steps // train.sample_every) if train.sample_every else 0,
    )
