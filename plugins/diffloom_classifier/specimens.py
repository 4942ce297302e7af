"""Small classifiers for the conformance kit."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from diffloom.bridge import theirs_of
from diffloom.kinds import SpaceInfo
from diffloom_classifier.names import OpenAIClassifier
from diffloom_classifier.shape import EncoderShape

KIT = SpaceInfo(channels=2, height=4, width=4)
"""What the kit's model diffuses."""


def save_classifier(path: Path, shape: EncoderShape, *, space: SpaceInfo = KIT, seed: int = 0) -> str:
    """A file of such a classifier in float64, with weights also where networks begin with zeros; its path."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = shape.network(space=space).double()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    save_file(
        {name: tensor.contiguous() for name, tensor in theirs_of(network, OpenAIClassifier()).items()}, path
    )
    return str(path)
