"""`diffloom.build`: from a configuration to a pipeline whose weights have yet to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffloom import config
from diffloom.assembly import assemble
from diffloom.config.choice import require_diffusion
from diffloom.device import usable_device
from diffloom.initial import fill_from_files
from diffloom.pipeline import Pipeline
from diffloom.plugins import load_registry

if TYPE_CHECKING:
    import torch


def build(
    source: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
    plugins: Sequence[str] = (),
) -> Pipeline:
    """A new pipeline from a YAML file, a shipped configuration (`diffloom:digits`) or a mapping.

    Its weights are random, but for those that the configuration's `weights` name a file for. Overrides are written as
    on the command line: `["backbone.channels=[32,64]"]`. Raises ConfigError, and CheckpointError for a file that does
    not fit.
    """
    registry = load_registry(plugins)
    resolved = config.load(source, overrides, registry=registry)
    document = require_diffusion(resolved.document, place="" if isinstance(source, Mapping) else str(source))
    pipeline = assemble(document, registry=registry, seed=seed)
    fill_from_files(document, pipeline.module, registry=registry)
    return pipeline.work_on(usable_device(device))
