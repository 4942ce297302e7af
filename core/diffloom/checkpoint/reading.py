"""Reading a checkpoint: only the group that is wanted, by memory map, and verified."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from diffloom.checkpoint.digest import file_digest, tensors_digest
from diffloom.checkpoint.header import Header, read_header
from diffloom.checkpoint.shares import counterpart, read_shares, share
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

    def group(self, group: str, *, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """One group's tensors by name, on the CPU. The rest of the file is not read.

        Of a tensor that has the name (or, for an optimiser's, the weight's) and the shape of a sharded one in `like`,
        this process's share is given. Raises CheckpointError when there is no such group, or when it does not match its
        digest.
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
        return {
            name: tensor if (model := counterpart(name, tensor.shape, like)) is None else share(tensor, model)
            for name, tensor in tensors.items()
        }

    def model_digest(self, weights: str = "ema") -> str:
        """SHA-256 of all that `tensors` gives: of the group alone, or, where parts are frozen, of both digests."""
        if not any(name.startswith("frozen/") for name in self.header.names):
            return self.digest(weights)
        return hashlib.sha256(f"{self.digest('frozen')} {self.digest(weights)}".encode()).hexdigest()

    def tensors(self, weights: str = "ema", *, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The whole model's state: its `ema` (averaged) or `weights` (as last trained), and its `frozen`."""
        return {**self.group("frozen"), **self.group(weights, like=like)}


@dataclass(frozen=True)
class ShardedCheckpoint(Checkpoint):
    """One whose tensors lie in shares in several files, written by several processes; any number of them reads it, one
    without a process group too."""

    def group(self, group: str, *, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        self.digest(group)
        self._intact  # noqa: B018 - once for all groups
        return read_shares(self.path, prefix=f"{group}/", names=self.header.names, like=like)

    @cached_property
    def _intact(self) -> bool:
        """True. Raises CheckpointError when a file is missing or does not match its digest."""
        for name, wanted in self.header.files.items():
            try:
                found = file_digest(self.path / name)
            except OSError as error:
                raise CheckpointError(
                    f"{self.path / name}: cannot be read: {error.strerror}; {REMEDY}"
                ) from error
            if found != wanted:
                raise CheckpointError(
                    f"{self.path / name}: is damaged: it does not match its digest; {REMEDY}"
                )
        return True


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a checkpoint. Raises CheckpointError as `read_header` does."""
    path, header = Path(path), read_header(path)
    return ShardedCheckpoint(path, header) if header.files else Checkpoint(path, header)
