"""Dropout in a run does not depend on how batches are divided. Oracle: the same run, divided otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from diffloom import config
from diffloom.checkpoint import open_checkpoint
from diffloom.training import train
from diffloom.training.progress import Silent

UNET = """\
image: {size: 8, channels: 1}
conditioners: {label: {type: class_label, classes: 2, dropout: 0.2}}
backbone: {type: unet, channels: [8], blocks_per_level: 1, attention_resolutions: [], norm_groups: 4, dropout: 0.4}
schedule: {type: linear, steps: 1000}
prediction: epsilon
sampling: {sampler: ddim, steps: 2}
data: {type: parts/gaussian, class_means: [-0.5, 0.5]}
train: {steps: 20, batch_size: 8, lr: 1e-1, optimizer: sgd}
"""
"""Adam divides by the gradient's size, so that where that is nothing but rounding, its step is all rounding too."""


class Lines(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def told(tmp_path: Path, plugins: Any):
    """Trains a text with overrides; returns its run folder and what was said."""

    def run(text: str, *overrides: str) -> tuple[Path, list[str]]:
        file = tmp_path / "run.yaml"
        file.write_text(text)
        folder, progress = tmp_path / f"run{len(list(tmp_path.iterdir()))}", Lines()
        resolved = config.load(file, overrides, registry=plugins.registry)
        train(resolved, folder, plugins=plugins, device="cpu", progress=progress)
        return folder, [line.partition(": ")[2] for line in progress.lines]

    return run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (checkpoint,) = (folder / "checkpoints").iterdir()
    return open_checkpoint(checkpoint).tensors("weights")


def test_weights_are_the_same_in_one_pass_or_four(told) -> None:
    whole, divided, other = (
        weights(told(UNET, *overrides)[0])
        for overrides in ([], ["train.micro_batch_size=2"], ["backbone.dropout=0.0"])
    )
    assert max((whole[name] - divided[name]).abs().max().item() for name in whole) < 1e-6
    # and the masks do matter: without them the weights are elsewhere by far more than that
    assert max((whole[name] - other[name]).abs().max().item() for name in whole) > 1e-2


def test_torch_s_own_dropout_is_told_where_batches_are_divided(told, tiny: Path) -> None:
    text = tiny.read_text()
    once = "backbone.dropout is torch's own dropout, which drops other values when a batch is divided otherwise; "
    overrides = ["train.steps=2", "train.sample_every=null"]
    _, divided = told(text, *overrides, "train.micro_batch_size=2")
    assert [line for line in divided if line.startswith(once)] == [
        f"{once}diffloom.nn.Dropout drops the same"
    ]
    for others in ([], ["train.micro_batch_size=2", "backbone.dropout=0.0"]):
        assert not any(once in line for line in told(text, *overrides, *others)[1])


def test_a_run_says_what_it_checkpoints(told, tiny: Path) -> None:
    wanted = ["train.steps=1", "train.gradient_checkpointing=true", "train.sample_every=null"]
    _, lines = told(UNET, *wanted)
    assert lines[0] == "checkpointing: 6 blocks keep what enters them, and compute the rest again"
    _, lines = told(tiny.read_text(), *wanted)
    assert lines[0].startswith("checkpointing: nothing that is trained is made of blocks")
