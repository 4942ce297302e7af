"""`train.precision: auto`. Oracle: runs whose file says what `auto` should become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from diffloom.checkpoint import open_checkpoint
from diffloom.errors import RunError
from diffloom.inference import compute
from diffloom.inference.gains import Gains
from diffloom.training import Trained

SHORT = ("train.steps=4", "train.sample_every=null", "train.checkpoint_every=2")


@pytest.fixture
def fast_halves(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A device that computes bf16 three times as fast, and a rule for which the tiny network is large."""
    monkeypatch.setattr(compute, "gains", lambda device: Gains(convolution=3.0, product=3.0))
    monkeypatch.setattr(compute, "LARGE", 1)
    return monkeypatch


def precision(trained: Trained) -> str:
    stored: str = yaml.safe_load((trained.folder / "config.resolved.yaml").read_text())["train"]["precision"]
    return stored


def digests(trained: Trained) -> Any:
    return open_checkpoint(trained.checkpoint).header.digests


def test_small_networks_are_exact(tmp_path: Path, train_tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "gains", lambda device: Gains(convolution=3.0, product=3.0))
    assert precision(train_tiny(tmp_path / "run", *SHORT)) == "fp32"


@pytest.mark.usefixtures("fast_halves")
def test_a_large_network_is_trained_in_what_is_faster(tmp_path: Path, train_tiny: Any) -> None:
    found = train_tiny(tmp_path / "auto", *SHORT)
    assert precision(found) == "bf16"
    assert digests(found) == digests(train_tiny(tmp_path / "bf16", *SHORT, "train.precision=bf16"))
    (session,) = json.loads((found.folder / "environment.json").read_text())["sessions"]
    assert session["origins"]["train.precision"] == "chosen for the machine that the run began on"


def test_a_resumed_run_keeps_what_it_began_with(
    tmp_path: Path, train_tiny: Any, fast_halves: pytest.MonkeyPatch
) -> None:
    """On a machine that would have chosen otherwise."""
    whole = train_tiny(tmp_path / "whole", *SHORT)
    train_tiny(tmp_path / "run", "train.steps=2", *SHORT[1:])
    fast_halves.setattr(compute, "gains", lambda device: Gains(convolution=0.5, product=0.5))
    resumed = train_tiny(tmp_path / "run", *SHORT, resume=True)
    assert precision(resumed) == "bf16"
    assert digests(resumed) == digests(whole)
    assert precision(train_tiny(tmp_path / "new", *SHORT)) == "fp32"


@pytest.mark.usefixtures("fast_halves")
def test_another_precision_is_another_run(tmp_path: Path, train_tiny: Any) -> None:
    train_tiny(tmp_path / "run", "train.steps=2", *SHORT[1:])
    with pytest.raises(RunError, match=r"train\.precision: 'bf16' → 'fp32'"):
        train_tiny(tmp_path / "run", *SHORT, "train.precision=fp32", resume=True)


@pytest.mark.usefixtures("fast_halves")
def test_an_autoencoder_is_exact(tmp_path: Path, train_tiny: Any) -> None:
    text = """\
image: {size: 8, channels: 1}
space: parts/codes
autoencoder: {criteria: [lp], regularisation: 0.02}
data: parts/gaussian
train: {steps: 1, batch_size: 2, lr: 1e-3}
"""
    assert precision(train_tiny(tmp_path / "run", text=text)) == "fp32"
