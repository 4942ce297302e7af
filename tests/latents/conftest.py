"""What the tests of latents share: a latent model of a few hundred weights, its parts in parts.py."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import pytest
import torch

from diffloom import config
from diffloom.config import Document
from diffloom.kinds import Codec, LatentSpace
from diffloom.latents.encoder import LatentEncoder
from diffloom.latents.model import LatentModel
from diffloom.plugins import Plugins, load_plugins

PARTS = Path(__file__).parent / "parts.py"
MODEL = """\
# A latent model of tests.
image: {size: 8, channels: 1}
space:   # where diffusion happens
  type: parts/halved
  weights: WEIGHTS   # trained elsewhere

conditioners:
  label: {type: class_label, classes: 2, dropout: 0.2}
backbone: parts/one_layer
schedule: {type: linear, steps: 1000}
prediction: epsilon
sampling: {sampler: ddpm, steps: 2}
data: {type: parts/waves}
train:
  steps: 20
  batch_size: 4
  lr: 1e-2
  log_every: 3
  sample_every: 10
  checkpoint_every: 7
"""


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    """The installed plugins and the parts."""
    return load_plugins((str(PARTS),))


@pytest.fixture(scope="session")
def parts() -> Path:
    """The plugin file, for command lines."""
    return PARTS


class OpenModel(Protocol):
    def __call__(self, *overrides: str, codec_seed: int = 0) -> LatentModel: ...


@pytest.fixture(scope="session")
def model_text() -> str:
    """The latent model's YAML; its weights are a word that nobody reads here."""
    return MODEL


@pytest.fixture(scope="session")
def open_model(tmp_path_factory: pytest.TempPathFactory, plugins: Plugins) -> OpenModel:
    """The model with its data, and a codec of random weights in place of trained ones."""
    path = tmp_path_factory.mktemp("models") / "latent.yaml"
    path.write_text(MODEL)

    def model(*overrides: str, codec_seed: int = 0) -> LatentModel:
        document = config.load(path, overrides, registry=plugins.registry).document
        assert isinstance(document, Document)
        assert isinstance(document.space, LatentSpace)
        with torch.random.fork_rng():
            torch.manual_seed(codec_seed)
            codec = document.space.unnormalised().build(image=document.image.info)
        encoder = LatentEncoder(cast(Codec, codec), document.space_info.shape, torch.device("cpu"))
        return LatentModel.of(document, encoder)

    return model
