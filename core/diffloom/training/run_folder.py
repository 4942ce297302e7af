"""A run folder: where everything of one run is.

config.yaml            the configuration as it was given
config.resolved.yaml   the same with every default filled in and what the data taught
checkpoints/           step-00001000.safetensors, the newest few; step-00001000.sharded/ where weights are sharded
metrics.jsonl          one row of figures every `train.log_every` steps
findings.jsonl         what the sentinel found, where it found anything
samples/               step-00001000.png, every `train.sample_every` steps
snapshots/             of the averages, every `train.snapshot_every` steps
"""

from __future__ import annotations

import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

from diffloom.errors import CheckpointError, RunError
from diffloom.training.lock import NAME as LOCK
from diffloom.training.lock import FolderLock
from diffloom.training.replacement import SUFFIX, replace_text

CHECKPOINT = re.compile(r"step-(\d{8,})\.(safetensors|sharded)")
GIVEN, RESOLVED = "config.yaml", "config.resolved.yaml"
NEWBORN = frozenset({LOCK, GIVEN, "checkpoints", "samples", "snapshots"})
"""What a run that was killed before its first step may have left, half-written files aside; such a folder counts as
empty."""
HALF_WRITTEN = (f".*{SUFFIX}", ".*.tmp")
"""Names of files that a killed process did not finish: texts and pictures."""


class RunFolder:
    """The files of one run. Making this object touches nothing."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.given = self.path / GIVEN
        self.resolved = self.path / RESOLVED
        self.metrics = self.path / "metrics.jsonl"
        self.findings = self.path / "findings.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"
        self.snapshots = self.path / "snapshots"

    @property
    def is_begun(self) -> bool:
        """Whether a run lives here."""
        return self.resolved.is_file()

    def require(self, *, resume: bool) -> None:
        """Raises RunError unless a run can begin here, or (`resume`) go on."""
        try:
            if self.path.exists() and not self.path.is_dir():
                raise RunError(f"{self.path}: is a file; choose another run folder with -o")
            strangers = self.path.is_dir() and any(_is_stranger(item.name) for item in self.path.iterdir())
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be read: {error.strerror}; choose another with -o"
            ) from error
        if not resume and strangers:
            raise RunError(f"{self.path}: exists already; pass --resume to go on, or choose another -o")
        if resume and not self.path.exists():
            raise RunError(f"{self.path}: there is no run to resume; leave out --resume to begin one")
        if resume and strangers and not self.is_begun:
            raise RunError(f"{self.path}: is no run folder (it has no {RESOLVED}); choose another -o")

    def hold(self) -> FolderLock:
        """Make the folder where there is none, and lock it. Raises RunError where that fails."""
        try:
            for folder in (self.path, self.checkpoints, self.samples):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be made: {error.strerror}; choose another with -o"
            ) from error
        return FolderLock(self.path)

    def write_configs(self, *, given: str, resolved: str) -> None:
        """Write both; the resolved one last, since it says that the run has begun."""
        replace_text(self.given, given)
        replace_text(self.resolved, resolved)

    def remove_leftovers(self) -> None:
        """Remove what a killed process left half written. Only while the folder is held."""
        from diffloom.checkpoint import remove_unfinished  # torch's

        for folder in (self.path, self.checkpoints, self.samples, self.snapshots):
            remove_unfinished(folder)
            for pattern in HALF_WRITTEN:
                for rubbish in folder.glob(pattern):
                    rubbish.unlink()

    def checkpoint(self, step: int, *, in_shares: bool = False) -> Path:
        """Where the checkpoint of a step belongs."""
        return self.checkpoints / f"step-{step:08d}.{'sharded' if in_shares else 'safetensors'}"

    def picture(self, step: int) -> Path:
        """Where the samples of a step belong."""
        return self.samples / f"step-{step:08d}.png"

    def saved(self) -> list[Path]:
        """The checkpoints, oldest first."""
        if not self.checkpoints.is_dir():
            return []
        found = {int(m[1]): p for p in self.checkpoints.iterdir() if (m := CHECKPOINT.fullmatch(p.name))}
        return [found[step] for step in sorted(found)]

    def latest(self) -> Path | None:
        """The newest checkpoint; None where there is none yet."""
        saved = self.saved()
        return saved[-1] if saved else None

    @property
    def standing(self) -> str:
        """The end of a message about a run that broke off: which checkpoint stands."""
        latest = self.latest()
        return f"the last good checkpoint is {latest}" if latest else "no checkpoint was written yet"

    def is_finished(self, *, steps: int, sampled: bool) -> bool:
        """Whether all of a run's `steps` are taken and what they made is written, its last picture included where it
        was `sampled`."""
        latest = self.latest()
        return (
            latest is not None
            and step_of(latest) >= steps
            and (not sampled or self.picture(step_of(latest)).exists())
        )

    def prune(self, *, keep: int, every: int | None) -> None:
        """Remove all checkpoints but the newest `keep`, and those of steps that `every` divides."""
        for path in self.saved()[:-keep]:
            if every is None or step_of(path) % every:
                _remove(path)


def _remove(checkpoint: Path) -> None:
    """A folder first loses its name, so that what a kill leaves of it is no checkpoint."""
    if not checkpoint.is_dir():
        checkpoint.unlink()
        return
    from diffloom.checkpoint.whole_file import UNFINISHED  # torch's

    shutil.rmtree(checkpoint.rename(checkpoint.with_name(f"{UNFINISHED}{checkpoint.name}")))


def _is_stranger(name: str) -> bool:
    """Whether a newborn run's folder would not hold a file of this name."""
    return name not in NEWBORN and not any(fnmatch(name, pattern) for pattern in HALF_WRITTEN)


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint of a run folder was saved after."""
    found = CHECKPOINT.fullmatch(checkpoint.name)
    assert found is not None, "only checkpoints are asked for"
    return int(found[1])


def checkpoint_of(source: Path) -> Path:
    """The checkpoint that a run folder or a checkpoint's own path means. Raises CheckpointError when there is none."""
    if not source.is_dir() or CHECKPOINT.fullmatch(source.name):
        return source
    latest = RunFolder(source).latest()
    if latest is None:
        raise CheckpointError(
            f"{source}: has no checkpoints yet; train the model first, or name another folder"
        )
    return latest
