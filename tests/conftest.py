"""What the tests of the Python API share: a small, untrained digits model."""

from pathlib import Path

import pytest
import torch

import diffloom
from diffloom import Pipeline

CONFIGS = Path(__file__).parents[1] / "configs"
SMALL = [
    "backbone.channels=[8,16]",
    "backbone.blocks_per_level=1",
    "backbone.head_channels=8",
    "backbone.norm_groups=4",
    "prediction=v",
]


@pytest.fixture(scope="session")
def configs() -> Path:
    """The shipped configurations."""
    return CONFIGS


@pytest.fixture(scope="session")
def small_model() -> Pipeline:
    """The digits configuration with a small U-Net, and weights where it begins with zeros."""
    pipe = diffloom.build(CONFIGS / "digits.yaml", SMALL, device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in pipe.module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return pipe
