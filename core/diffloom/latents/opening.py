"""From a configuration to its encoder and its data."""

from __future__ import annotations

from typing import cast

import torch

from diffloom.bridge.filling import fill_weighted
from diffloom.building import built
from diffloom.config import Document
from diffloom.errors import ConfigError, Problem
from diffloom.kinds import Codec, LatentSpace
from diffloom.latents.encoder import LatentEncoder
from diffloom.latents.model import LatentModel
from diffloom.registry import Registry


def open_model(document: Document, *, registry: Registry, device: torch.device) -> LatentModel:
    """The encoder with its weights, and the data; no other part of the model is built.

    Raises ConfigError for a model without an autoencoder, or without weights for it, CheckpointError for weights that
    are not this autoencoder's, and DataError.
    """
    space = document.space
    if not isinstance(space, LatentSpace):
        raise ConfigError([Problem("space", f"{space.canonical} has no latents: it is not an autoencoder")])
    if document.image.buckets is not None:
        raise ConfigError(
            [
                Problem(
                    "image.buckets",
                    "latents are measured and cached in one shape; give image.buckets=null behind the file's name",
                )
            ]
        )
    source = space.weights or document.weights  # a whole model's file has an autoencoder too
    if source is None:
        raise ConfigError(
            [
                Problem(
                    "space.weights",
                    "is not set, and latents of random weights mean nothing; name a trained autoencoder, such as the "
                    "run folder of `diffloom train autoencoder.yaml`",
                )
            ]
        )
    space = space.unnormalised()
    codec = built("space", space.build, image=document.image.info)
    for part, module in space.weighted(codec):
        fill_weighted(space, part, module, source, registry=registry)
    codec = codec.float().eval().requires_grad_(False).to(device)
    return LatentModel.of(document, LatentEncoder(cast(Codec, codec), document.space_info.shape, device))
