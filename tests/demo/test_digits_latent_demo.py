"""Latent diffusion from nothing to judged samples, as `make demo-latent` runs it: both models are trained anew.

Oracles: a classifier fitted on real digits, and distances to real digits.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import diffloom
from diffloom import config
from diffloom.plugins import load_registry

SCRIPT = Path(__file__).parents[2] / "docs" / "demo" / "digits_latent.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it worked."""
    folder = tmp_path_factory.mktemp("latent")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # other tests run beside it
    subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], check=True, capture_output=True, env=environment
    )
    return folder


def test_digits_are_the_ones_asked_for(folder: Path) -> None:
    figures: dict[str, Any] = json.loads((folder / "runs" / "digits_latent" / "figures.json").read_text())
    assert figures["judge_accuracy"] >= 0.97
    assert figures["accuracy"] >= 0.90
    assert figures["spread"] >= 0.50
    assert 0.7 <= figures["nearness"] <= 1.3


def test_the_latents_were_measured_on_the_training_digits(folder: Path) -> None:
    document = config.load(folder / "digits_latent.yaml", registry=load_registry()).document
    statistics = document.space.statistics
    assert statistics.examples == 1437
    assert len(statistics.mean) == len(statistics.std) == 4


def test_the_model_needs_its_autoencoder_s_run_no_more(folder: Path) -> None:
    (folder / "runs" / "autoencoder_digits").rename(folder / "runs" / "elsewhere")
    out = diffloom.load(folder / "runs" / "digits_latent", device="cpu").sample(label=[3, 7], seed=0, steps=5)
    assert out.tensor.shape == (2, 1, 8, 8)
