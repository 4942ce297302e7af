"""`auto` in `train.precision` and `train.convolutions`. Oracle: runs whose file says what `auto` should become."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from diffloom.checkpoint import open_checkpoint
from diffloom.errors import RunError
from diffloom.inference import compute, gains
from diffloom.inference.gains import Gains
from diffloom.nn import trained_conv
from diffloom.training import Trained

UNET = "backbone={type: unet, channels: [8], blocks_per_level: 1, norm_groups: 4, attention_resolutions: []}"
SHORT = ("train.steps=4", "train.sample_every=null", "train.checkpoint_every=2")


@pytest.fixture
def fast_halves(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A device that computes bf16 three times as fast, and a rule for which the tiny network is large."""
    monkeypatch.setattr(compute, "gains", lambda device, threads: Gains(convolution=3.0, product=3.0))
    monkeypatch.setattr(compute, "LARGE", 1)
    return monkeypatch


def settled_as(trained: Trained, key: str) -> str:
    stored: str = yaml.safe_load((trained.folder / "config.resolved.yaml").read_text())["train"][key]
    return stored


def precision(trained: Trained) -> str:
    return settled_as(trained, "precision")


def digests(trained: Trained) -> Any:
    return open_checkpoint(trained.checkpoint).header.digests


def test_small_networks_are_exact(tmp_path: Path, train_tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "gains", lambda device, threads: Gains(convolution=3.0, product=3.0))
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
    fast_halves.setattr(compute, "gains", lambda device, threads: Gains(convolution=0.5, product=0.5))
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


@pytest.fixture
def fast_winograd(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """How much a device gains by Winograd's way, and layers of the tiny network that are wide enough for it."""
    monkeypatch.setattr(trained_conv, "CHANNELS", 4)
    monkeypatch.setattr(trained_conv, "WORTHWHILE", 0)

    def gain(found: float) -> None:
        monkeypatch.setattr(
            gains, "gains", lambda device, threads: Gains(convolution=0.5, product=0.5, winograd=found)
        )

    return gain


def test_convolutions_are_as_measured_where_the_run_began(
    tmp_path: Path, train_tiny: Any, fast_winograd: Callable[[float], None]
) -> None:
    """Its numbers are those of a run that says so, which are not those of the other way."""
    fast_winograd(2.0)
    whole = train_tiny(tmp_path / "whole", UNET, *SHORT)
    assert settled_as(whole, "convolutions") == "winograd"
    assert digests(whole) == digests(
        train_tiny(tmp_path / "said", UNET, *SHORT, "train.convolutions=winograd")
    )
    train_tiny(tmp_path / "run", UNET, "train.steps=2", *SHORT[1:])
    fast_winograd(1.0)  # another machine
    resumed = train_tiny(tmp_path / "run", UNET, *SHORT, resume=True)
    assert settled_as(resumed, "convolutions") == "winograd"
    assert digests(resumed) == digests(whole)
    direct = train_tiny(tmp_path / "new", UNET, *SHORT)
    assert settled_as(direct, "convolutions") == "direct"
    assert digests(direct) != digests(whole)


@pytest.mark.usefixtures("fast_halves")
def test_convolutions_in_half_precision_are_direct(
    tmp_path: Path, train_tiny: Any, fast_winograd: Callable[[float], None]
) -> None:
    fast_winograd(2.0)
    assert settled_as(train_tiny(tmp_path / "run", UNET, *SHORT), "convolutions") == "direct"
