"""What the tests of latents share: a latent model of a few hundred weights, its parts in parts.py."""

from __future__ import annotations

from pathlib import Path

import pytest

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
