"""What a run goes on from and what it is fed, written down while it trains.

Legend: C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image
from torch import Tensor

from diffloom.checkpoint import save_checkpoint
from diffloom.training.batch import Batch
from diffloom.training.state import TrainState
from diffloom.training.witness import Fed


class EnoughError(Exception):
    """The run has taken the steps that were wanted of it."""


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """Stands between a run and its examples. It changes neither, but ends the run in the middle."""

    order: Path
    """Takes a JSON line for each step: the examples' positions, and digests of what stood there."""
    restored: Path | None = None
    """Takes a checkpoint of the state before the first step."""
    last_step: int
    """After this step the run ends with EnoughError."""
    kill_before: int | None = None
    """Before this step the process sends itself SIGKILL."""

    def __call__(self, state: TrainState, feed: Fed, config: str) -> Fed:
        """The same feed under observation."""
        if self.restored is not None:
            save_checkpoint(self.restored, state.groups(), step=state.step, config=config)
        return _Recorded(self, feed)

    def step(self, step: int, passes: Sequence[Batch]) -> None:
        """Hear what a step is about to be taken on."""
        if step == self.kill_before:
            os.kill(os.getpid(), signal.SIGKILL)
        if step > self.last_step:
            raise EnoughError
        examples = [seen for batch in passes for seen in _examples(batch)]
        with self.order.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "examples": examples}) + "\n")


@dataclass(frozen=True)
class _Recorded:
    """A feed that a recorder listens to."""

    recorder: Recorder
    feed: Fed

    def steps(self, *, first_step: int, last_step: int) -> Iterator[list[Batch]]:
        for step, passes in enumerate(
            self.feed.steps(first_step=first_step, last_step=last_step), first_step + 1
        ):
            self.recorder.step(step, passes)
            yield passes


def _examples(batch: Batch) -> Iterator[tuple[int, str]]:
    """Each example's position, and a digest of its picture and conditions."""
    for place, position in enumerate(batch.positions):
        digest = hashlib.sha256(_bytes(batch.images_BCHW[place]))
        for name, values in sorted(batch.raw.items()):
            digest.update(name.encode() + _bytes(values[place]))
        yield position, digest.hexdigest()[:16]


def _bytes(value: Any) -> bytes:
    """Equal for equal values, in whatever process they were made."""
    if isinstance(value, Tensor):
        value = value.contiguous().numpy()
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}".encode() + value.tobytes()
    if isinstance(value, Image):
        return f"{value.mode}{value.size}".encode() + value.tobytes()
    if isinstance(value, Mapping):
        return b"".join(_bytes(key) + _bytes(item) for key, item in sorted(value.items()))
    if isinstance(value, list | tuple):
        return b"".join(_bytes(item) for item in value)
    if value is None or isinstance(value, str | int | float):
        return repr(value).encode()
    return pickle.dumps(value)
