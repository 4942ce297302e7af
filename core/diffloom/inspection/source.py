"""What the commands that look at a model are given: a run folder, a checkpoint or a configuration. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffloom import config
from diffloom.checkpoint.header import read_header
from diffloom.checkpoint.stored import PICKLE_SUFFIXES
from diffloom.config import Resolved
from diffloom.config.plain import plain
from diffloom.errors import RunError
from diffloom.registry import Registry
from diffloom.training.run_folder import RESOLVED, RunFolder

WEIGHTS_SUFFIXES = (".safetensors", *sorted(PICKLE_SUFFIXES))
"""A file called so is no configuration; whether it is a checkpoint of ours, its header says."""


def is_trained(source: str) -> bool:
    """Whether it names a run folder or a checkpoint, and not a configuration."""
    path = Path(source)
    return path.is_dir() or path.suffix in WEIGHTS_SUFFIXES


def described(source: str, overrides: Sequence[str] = (), *, registry: Registry) -> Resolved:
    """The resolved configuration of a run folder, a checkpoint, a YAML file or `diffloom:NAME`, with overrides.

    A run answers before its first checkpoint is written. Raises ConfigError, RunError or CheckpointError.
    """
    path = Path(source)
    if path.is_dir():
        run = RunFolder(path)
        if not run.is_begun:
            raise RunError(
                f"{path}: is no run folder (it has no {RESOLVED}); name a run, a checkpoint or a YAML file"
            )
        return config.load(run.resolved, overrides, registry=registry)
    if path.suffix not in WEIGHTS_SUFFIXES:
        return config.load(source, overrides, registry=registry)
    resolved = config.parse(read_header(path).config, name=str(path), registry=registry)
    return config.load(plain(resolved.document), overrides, registry=registry) if overrides else resolved
