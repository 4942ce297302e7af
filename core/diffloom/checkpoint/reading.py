"""Reading a checkpoint: only the group that is wanted, by memory map, and verified."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from diffloom.checkpoint.digest import tensors_digest
from diffloom.checkpoint.header import Header, read_header
from diffloom.checkpoint.stored import REMEDY
from diffloom.errors import CheckpointError


@dataclass(frozen=True)
class Checkpoint:
    """An open checkpoint: its header is known, its tensors are read when asked for."""

    path: Path
    header: Header

    @property
    def config(self) -> str:
        """The resolved configuration as YAML text."""
        return self.header.config

    @property
    def step(self) -> int:
        """Optimiser steps taken."""
        return self.header.step

    def digest(self, group: str) -> str:
        """SHA-256 of a group. Raises CheckpointError when there is no such group."""
        if group not in self.header.digests:
            there = ", ".join(sorted(self.header.digests))
            raise CheckpointError(f"{self.path}: has no group {group!r}; it has {there}")
        return self.header.digests[group]

    def group(self, group: str) -> dict[str, Tensor]:
        """One group's tensors by name, on the CPU. The rest of the file is not read.

        Raises CheckpointError when there is no such group, or when it does not match its digest.
        """
        wanted, prefix = self.digest(group), f"{group}/"
        try:
            with safe_open(self.path, framework="pt", device="cpu") as file:
                tensors = {
                    name.removeprefix(prefix): file.get_tensor(name)
                    for name in self.header.names
                    if name.startswith(prefix)
                }
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{self.path}: is damaged: {error}; {REMEDY}") from error
        if tensors_digest(tensors) != wanted:
            raise CheckpointError(
                f"{self.path}: is damaged: its group {group!r} does not match its digest; {REMEDY}"
            )
        return tensors

    def model_digest(self, weights: str = "ema") -> str:
        """SHA-256 of all that `tensors` gives: of the group alone, or, where parts are frozen, of both digests."""
        if not any(name.startswith("frozen/") for name in self.header.names):
            return self.digest(weights)
        return hashlib.sha256(f"{self.digest('frozen')} {self.digest(weights)}".encode()).hexdigest()

    def tensors(self, weights: str = "ema") -> dict[str, Tensor]:
        """The whole model's state: its `ema` (averaged) or `weights` (as last trained), and its `frozen`."""
        return {**self.group("frozen"), **self.group(weights)}


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a checkpoint. Raises CheckpointError as `read_header` does."""
    return Checkpoint(path=Path(path), header=read_header(path))
