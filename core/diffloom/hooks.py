"""The contract between diffloom and its plugins: one hook registers, the others observe.

*Hooks announce, components decide*: no hook can change a number, so the YAML alone says what was computed.
Observers get read-only values and copies; one that raises is reported once and silenced for the rest of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffloom.registrar import Registrar
    from diffloom.sentinel import Finding

PROJECT = "diffloom"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True)
class RunInfo:
    """What an observer is told of a run."""

    folder: Path
    """The run folder."""
    config: str
    """The resolved configuration, as YAML text."""
    first_step: int
    """0, or the step that the run resumes after."""
    last_step: int
    """The step the run ends after."""


@hookspec
def diffloom_register(registrar: Registrar) -> None:
    """Register components with `registrar.add(MyComponent)`, or by name with `registrar.add_lazily`; called once.

    Neither this nor the module it stands in may import torch.
    """


@hookspec
def diffloom_run_start(run: RunInfo) -> None:
    """Training begins, or resumes."""


@hookspec
def diffloom_step_end(run: RunInfo, step: int, metrics: Mapping[str, float]) -> None:
    """A row of metrics was logged after `step` optimiser steps (every `train.log_every` steps)."""


@hookspec
def diffloom_samples(run: RunInfo, step: int, grid: Image) -> None:
    """Samples were drawn during training; `grid` is a copy of the picture written to the run folder."""


@hookspec
def diffloom_checkpoint_saved(run: RunInfo, step: int, path: Path) -> None:
    """A checkpoint is on disk, whole and synced."""


@hookspec
def diffloom_finding(run: RunInfo, finding: Finding) -> None:
    """The sentinel noticed that something goes wrong: its step, its cause's name, and what was measured."""


@hookspec
def diffloom_run_end(run: RunInfo, step: int, reason: str) -> None:
    """Training stops after `step` steps; `reason` is `finished`, `interrupted` or `failed`."""
