"""What the tests of the sentinel share: a small model that trains in a second, and what is found in it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from diffloom import config
from diffloom.plugins import Plugins, load_plugins
from diffloom.training import train

FAULTY = Path(__file__).parent / "faulty.py"
SOUND = """\
image: {size: 4, channels: 1}
conditioners:
  label: {type: class_label, classes: 4, dropout: 0.2}
backbone: faulty/net
schedule: {type: cosine, steps: 1000}
prediction: v
sampling: {sampler: ddim, steps: 2, guidance: {type: classifier_free, scale: 2.0}}
data: faulty/blobs
train:
  steps: 120
  batch_size: 32
  lr: 3e-3
  ema: {decay: 0.95}
  log_every: 10
  checkpoint_every: 1000
  sentinel: {every: 10}
"""


UNCONDITIONAL = re.sub(r"conditioners:\n.*\n", "", SOUND).replace(
    ", guidance: {type: classifier_free, scale: 2.0}", ""
)
TEXT = """\
image: {size: 8, channels: 1}
conditioners:
  prompt:
    type: transformer_text
    width: 16
    layers: 1
    heads: 2
    head_channels: 8
    length: 4
    vocabulary: 300
    dropout: 0.1
backbone:
  type: cross_attention_unet
  channels: [8, 16]
  blocks_per_level: 1
  transformer_depth: [0, 1]
  head_channels: 8
  norm_groups: 4
schedule: {type: cosine, steps: 1000}
prediction: v
sampling: {sampler: ddim, steps: 2, guidance: {type: classifier_free, scale: 2.0}}
data: {type: faulty/blobs, condition: prompt, captioned: true}
train:
  steps: 60
  batch_size: 16
  lr: 2e-3
  lr_schedule: {warmup_steps: 20}
  ema: {decay: 0.95}
  log_every: 20
  checkpoint_every: 1000
  sentinel: {every: 20}
"""


@dataclass(frozen=True)
class Ran:
    """What a run left."""

    folder: Path

    @property
    def findings(self) -> list[dict[str, object]]:
        path = self.folder / "findings.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def causes(self) -> set[object]:
        return {finding["cause"] for finding in self.findings}

    @property
    def rows(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]


class Run(Protocol):
    def __call__(self, *overrides: str, text: str = SOUND) -> Ran: ...


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    """The installed plugins and the faulty ones."""
    return load_plugins((str(FAULTY),))


@pytest.fixture(scope="session")
def unconditional() -> str:
    """The sound model without its condition."""
    return UNCONDITIONAL


@pytest.fixture(scope="session")
def text_to_image() -> str:
    """A small U-Net that reads captions."""
    return TEXT


@pytest.fixture
def run(tmp_path: Path, plugins: Plugins) -> Run:
    """Trains the sound model with overrides, or another configuration, in a folder of its own."""
    count = 0

    def trained(*overrides: str, text: str = SOUND) -> Ran:
        nonlocal count
        count += 1
        file = tmp_path / f"{count}.yaml"
        file.write_text(text)
        resolved = config.load(file, overrides, registry=plugins.registry)
        folder = tmp_path / f"run-{count}"
        train(resolved, folder, plugins=plugins, device="cpu")
        return Ran(folder)

    return trained
