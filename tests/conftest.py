"""What tests share: a small digits model, untrained, and a run that trained it for two steps."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import diffloom
from diffloom import Pipeline, config
from diffloom.plugins import load_plugins
from diffloom.training import train
from diffloom_clip.library import import_torchvision

# diffusers and transformers, with which tests compare, import torchvision too.
import_torchvision()

# The same examples every time, however slow the machine; HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("fixed", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

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


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    plugins = load_plugins()
    short = [
        "train.steps=2",
        "train.batch_size=4",
        "train.lr_schedule.warmup_steps=0",
        "train.sample_every=null",
    ]
    resolved = config.load(CONFIGS / "digits.yaml", [*SMALL, *short], registry=plugins.registry)
    train(resolved, folder, plugins=plugins, device="cpu")
    return folder
