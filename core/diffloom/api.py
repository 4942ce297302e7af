"""`diffloom.load` and `diffloom.build`: from files to a pipeline."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from diffloom import config
from diffloom.assembly import assemble
from diffloom.checkpoint import Checkpoint, load_strict, open_checkpoint
from diffloom.device import usable_device
from diffloom.pipeline import Pipeline
from diffloom.plugins import load_registry
from diffloom.training.run_folder import checkpoint_of

logger = logging.getLogger("diffloom")


def load(
    source: str | Path,
    *,
    weights: Literal["ema", "raw"] = "ema",
    device: torch.device | str | None = None,
    plugins: Sequence[str] = (),
) -> Pipeline:
    """The pipeline of a run folder (its newest checkpoint) or of a checkpoint file, ready to sample.

    Plugins of other versions than the model was trained with are logged as a warning.

    `weights="raw"` takes the last weights instead of the averaged ones; `device` is CUDA where there is any;
    `plugins` are Python files to load first. Raises CheckpointError, or ConfigError where a plugin is missing.
    """
    registry = load_registry(plugins)
    checkpoint = open_checkpoint(checkpoint_of(Path(source)))
    resolved = config.parse(checkpoint.config, name=str(checkpoint.path), registry=registry)
    _tell_of_other_versions(checkpoint, resolved.document.plugins)
    pipeline = assemble(resolved.document, registry=registry)
    group = "ema" if weights == "ema" else "weights"
    load_strict(pipeline.module, checkpoint.tensors(group), place=str(checkpoint.path))
    pipeline.weights_digest = checkpoint.digest(group)
    pipeline.module.eval()
    return pipeline.to(usable_device(device))


def build(
    source: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
    plugins: Sequence[str] = (),
) -> Pipeline:
    """An untrained pipeline from a YAML file, a shipped configuration (`diffloom:digits`) or a mapping.

    Overrides are written as on the command line: `["backbone.channels=[32,64]"]`. Raises ConfigError.
    """
    registry = load_registry(plugins)
    resolved = config.load(source, overrides, registry=registry)
    return assemble(resolved.document, registry=registry, seed=seed).to(usable_device(device))


def _tell_of_other_versions(checkpoint: Checkpoint, installed: Mapping[str, str]) -> None:
    trained: dict[str, str] = yaml.safe_load(checkpoint.config).get("plugins", {})
    for name, version in trained.items():
        if installed.get(name, version) != version:
            logger.warning(
                "%s: was trained with %s %s, and %s is installed",
                checkpoint.path,
                name,
                version,
                installed[name],
            )
