"""What a run has saved: its checkpoints, what they hold, and how many weights each part of the model has."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from diffloom.checkpoint.header import read_header
from diffloom.checkpoint.stored import read_stored
from diffloom.errors import CheckpointError
from diffloom.training.run_folder import RunFolder


@dataclass(frozen=True)
class Part:
    """One part of the model."""

    name: str
    """`backbone`, `space`, `conditioners.label`."""
    learned: int
    """How many numbers of it training changes, running statistics included."""
    fixed: int
    """How many it leaves alone."""


@dataclass(frozen=True)
class Saved:
    """One checkpoint."""

    name: str
    size_bytes: int
    groups: str
    """What it holds."""
    trouble: str
    """Why it cannot be read; empty for a sound one."""


@dataclass(frozen=True)
class Weights:
    """All that is saved of a run."""

    parts: tuple[Part, ...]
    checkpoints: tuple[Saved, ...]
    digests: dict[str, str]
    """SHA-256 of the newest checkpoint's groups of tensors."""

    @property
    def total(self) -> int:
        """How many numbers the model has in all."""
        return sum(part.learned + part.fixed for part in self.parts)


def read_weights(run: RunFolder) -> Weights:
    """Look at the headers of a run's checkpoints; no weight is read. One that is pruned meanwhile is left out."""
    found = [saved for path in run.saved() if (saved := _saved(path)) is not None]
    sound = [saved.name for saved in found if not saved.trouble]
    if not sound:
        return Weights((), tuple(found), {})
    newest = run.checkpoints / sound[-1]
    return Weights(_parts(newest), tuple(found), dict(read_header(newest).digests))


def _saved(path: Path) -> Saved | None:
    try:
        size = sum(file.stat().st_size for file in _files(path))
        return Saved(path.name, size, ", ".join(read_header(path).groups), "")
    except FileNotFoundError:
        return None
    except CheckpointError as error:
        return Saved(path.name, size, "", str(error)) if path.exists() else None


def _files(path: Path) -> list[Path]:
    """The files of a checkpoint: of a sharded one several, each with shares of tensors."""
    return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]


def _parts(path: Path) -> tuple[Part, ...]:
    """The parts in the order of their names; conditioners count one by one."""
    learned: Counter[str] = Counter()
    fixed: Counter[str] = Counter()
    for file in _files(path):
        for name, tensor in read_stored(file).tensors.items():
            group, _, inside = name.partition("/")
            words = inside.split(".")
            part = ".".join(words[:2]) if words[0] == "conditioners" else words[0]
            if group == "weights":
                learned[part] += math.prod(tensor.shape)
            elif group == "frozen":
                fixed[part] += math.prod(tensor.shape)
    return tuple(Part(name, learned[name], fixed[name]) for name in sorted(learned | fixed))
