"""Another program's model → a checkpoint of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from diffloom import config
from diffloom.bridge.export.ldm_file import SPARE
from diffloom.bridge.export.model import OwnModel
from diffloom.bridge.export.spare import same_numbers, single_file_at, spare_of
from diffloom.bridge.loading import assembled, fill_foreign
from diffloom.bridge.model import ForeignModel
from diffloom.bridge.native import is_native
from diffloom.bridge.whole import locate, read_model
from diffloom.checkpoint import save_checkpoint
from diffloom.checkpoint.groups import split
from diffloom.errors import CheckpointError
from diffloom.registry import Registry

FROZEN = frozenset({"space"})
"""The part of a diffusion model that its training leaves alone."""


def convert(
    source: str | Path,
    dest: Path,
    overrides: Sequence[str] = (),
    *,
    registry: Registry,
    pickle: bool = False,
    assume: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> ForeignModel:
    """Write the model of `source` to the new file `dest`, as if it had been trained here, and tell what it is.

    What a single file has beside the weights is kept in a group of its own, for an export to that form; nothing else
    reads it. `overrides` change its configuration as on the command line of `train`. Raises CheckpointError or
    ConfigError; nothing is written then.
    """
    if dest.suffix != ".safetensors":
        raise CheckpointError(f"{dest}: a checkpoint's name ends in .safetensors; choose such a name")
    if dest.exists():
        raise CheckpointError(f"{dest}: exists already; choose another name")
    path = locate(source, pickle=pickle, assume=assume or {})
    if not path.exists():
        raise CheckpointError(f"{source}: no such file or folder; check the name")
    if is_native(path):
        raise CheckpointError(
            f"{source}: is diffloom's own already; diffloom.load and `diffloom sample` take it"
        )
    model = read_model(path, registry=registry, pickle=pickle, assume=assume)
    pipeline = assembled(model, registry, overrides)
    fill_foreign(pipeline, model, weights="raw", dtype=dtype)
    frozen, weights = split(pipeline.module, frozen=FROZEN)
    averages = weights
    if any(known.piece.averages is not None for known in model.networks.values()):
        fill_foreign(pipeline, model, weights="ema", dtype=dtype)
        _, averages = split(pipeline.module, frozen=FROZEN)
    groups = {"frozen": frozen, "weights": weights, "ema": averages}
    told: tuple[str, ...] = ()
    if (tensors := single_file_at(path, pickle=pickle, assume=assume or {})) is not None:
        said = assembled(model, registry).document if overrides else pipeline.document
        if "scale" in (assume or {}) or not same_numbers(said, pipeline.document):
            told = ("spare: left out, as the file's own schedule or factor of latents are not the model's",)
        else:
            spare, told = spare_of(tensors, OwnModel(pipeline), averaged=_differ(weights, averages))
            if spare is not None:
                groups[SPARE] = spare
    save_checkpoint(dest, groups, step=0, config=config.to_yaml(pipeline.document, registry))
    return replace(model, told=(*model.told, *told))


def _differ(weights: Mapping[str, Tensor], averages: Mapping[str, Tensor]) -> bool:
    return any(not torch.equal(tensor, averages[name]) for name, tensor in weights.items())
