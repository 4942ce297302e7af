"""`diffloom.load` and `diffloom.load_component`: from files to a pipeline, or to one network."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import yaml
from torch import nn

from diffloom.assembly import assemble
from diffloom.bridge.empty import empty_weights
from diffloom.bridge.loading import assembled, fill_foreign, load_native_network, load_network
from diffloom.bridge.native import is_native, open_native
from diffloom.bridge.whole import locate, read_model
from diffloom.checkpoint import Checkpoint, adopt_strict
from diffloom.checkpoint.weights import require_fixed, weights_group
from diffloom.config.choice import require_diffusion
from diffloom.device import usable_device
from diffloom.errors import CheckpointError
from diffloom.pipeline import Pipeline
from diffloom.plugins import load_registry
from diffloom.registry import Registry

logger = logging.getLogger("diffloom")


def load(
    source: str | Path,
    *,
    weights: str = "ema",
    device: torch.device | str | None = None,
    plugins: Sequence[str] = (),
    pickle: bool = False,
    assume: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
    offload: bool | None = None,
) -> Pipeline:
    """The pipeline of a model, ready to sample.

    `source` is a run folder (its newest checkpoint), a checkpoint file, or another program's model: a diffusers
    pipeline's folder, a single file of latent-diffusion or Stable Diffusion, a U-Net of OpenAI's, or `hf://owner/name`.
    Of those, what is concluded from names and shapes is logged; what these leave open is answered by `assume`, such as
    `{"prediction": "v"}`. Pickles are read only with `pickle=True`, and nothing in them but tensors.

    `weights="raw"` takes the last weights instead of the averaged ones, and any other name that one of
    `train.further_ema`; `dtype` brings them to one type, where otherwise they keep the file's and are computed in;
    `offload` keeps them in the host's memory and brings each part to the device while it works, whatever
    `sampling.offload` says; `device` is CUDA where there is any; `plugins` are Python files to load first. Plugins of
    other versions than the model was trained with are logged as a warning. Raises CheckpointError, or ConfigError where
    a plugin is missing.
    """
    registry = load_registry(plugins)
    path = locate(source, pickle=pickle, assume=assume or {})
    if is_native(path):
        _refuse_answers(path, assume)
        pipeline = _native(path, registry, weights=weights, dtype=dtype)
    else:
        require_fixed(weights, path)
        model = read_model(path, registry=registry, pickle=pickle, assume=assume)
        for line in model.lines:
            logger.info("%s: %s", source, line)
        pipeline = assembled(model, registry)
        fill_foreign(pipeline, model, weights=weights, dtype=dtype)
    pipeline.module.eval()
    return pipeline.work_on(usable_device(device), offload=offload)


def load_component(
    source: str | Path,
    kind: str | None = None,
    *,
    weights: str = "ema",
    device: torch.device | str | None = None,
    plugins: Sequence[str] = (),
    pickle: bool = False,
    assume: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """One network by itself: a backbone, an autoencoder's codec, a text encoder.

    `source` is anything that `load` takes, a component's own folder or file, or the run of an autoencoder. Where there
    are several networks, `kind` says which: `backbone`, `space`, `conditioner`, or its name in the source
    (`text_encoder_2`). All else as in `load`.
    """
    registry = load_registry(plugins)
    path = locate(source, pickle=pickle, assume=assume or {})
    if is_native(path):
        _refuse_answers(path, assume)
        loaded = load_native_network(path, kind, registry=registry, weights=weights, dtype=dtype)
    else:
        require_fixed(weights, path)
        loaded = load_network(
            path, kind, registry=registry, weights=weights, pickle=pickle, assume=assume, dtype=dtype
        )
    for line in loaded.told:
        logger.info("%s: %s", source, line)
    return loaded.module.eval().to(usable_device(device))


def _native(path: Path, registry: Registry, *, weights: str, dtype: torch.dtype | None) -> Pipeline:
    """The pipeline of a run or a checkpoint of ours."""
    checkpoint, document = open_native(path, registry)
    document = require_diffusion(document, place=str(checkpoint.path))
    _tell_of_other_versions(checkpoint, document.plugins)
    group = weights_group(weights, checkpoint)
    with empty_weights():
        pipeline = assemble(document, registry=registry)
    adopt_strict(pipeline.module, checkpoint.tensors(group), checkpoint.path)
    if dtype is not None:
        pipeline.module.to(dtype)
    pipeline.weights_digest = checkpoint.model_digest(group)
    return pipeline


def _refuse_answers(path: Path, assume: Mapping[str, str] | None) -> None:
    if assume:
        raise CheckpointError(
            f"{path}: says all of itself, so there is nothing to assume ({', '.join(assume)})"
        )


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
