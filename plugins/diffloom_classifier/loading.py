"""The network of a classifier's file, read once however many batches are drawn."""

from __future__ import annotations

from functools import lru_cache

import torch

from diffloom.bridge import fill, open_tensors
from diffloom.errors import CheckpointError
from diffloom.kinds import SpaceInfo
from diffloom_classifier.names import OpenAIClassifier
from diffloom_classifier.network import EncoderClassifier
from diffloom_classifier.shape import EncoderShape


@lru_cache(maxsize=1)
def classifier(shape: EncoderShape, space: SpaceInfo, weights: str, *, pickle: bool) -> EncoderClassifier:
    """The network, which stays in memory until another one is asked for.

    It computes in the file's precision, but for half precision, in which gradients vanish: that is brought to float32.
    Raises CheckpointError for a file that lacks a tensor of this network, or has one more.
    """
    with torch.device("meta"):
        network = shape.network(space=space)
    tensors = open_tensors(weights, pickle=pickle)
    try:
        fill(network, tensors, OpenAIClassifier())
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}\nsampling.guidance describes a classifier of {space.channels}×{space.height}×{space.width} "
            "pictures; give the fields with which this file was written, or the file of such a classifier"
        ) from error
    dtype = torch.promote_types(network.enter.weight.dtype, torch.float32)
    return network.to(dtype).requires_grad_(False).eval()
