"""What the tests of latents share: a latent model of a few hundred weights, its parts in parts.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import pytest
import torch
from PIL import Image

from diffloom import config
from diffloom.checkpoint import open_checkpoint
from diffloom.config import Document
from diffloom.kinds import Codec, LatentSpace
from diffloom.latents.encoder import LatentEncoder
from diffloom.latents.model import LatentModel
from diffloom.plugins import Plugins, load_plugins
from diffloom.training import Trained, train
from diffloom.training.run_folder import RunFolder

PARTS = Path(__file__).parent / "parts.py"
LAUNCHER = Path(__file__).parents[1] / "training" / "launcher.py"
AUTOENCODER = """\
image: {size: 8, channels: 1}
space: parts/halved
autoencoder: {criteria: [lp], regularisation: 0.0}
data: {type: parts/waves}
train: {steps: 1, batch_size: 4, lr: 1e-2}
"""
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


@pytest.fixture(scope="session")
def autoencoders(tmp_path_factory: pytest.TempPathFactory, plugins: Plugins) -> dict[str, Path]:
    """Space → the run folder of its training, of one step."""
    folder = tmp_path_factory.mktemp("autoencoders")
    for space in ("halved", "halved_plainly"):
        text = AUTOENCODER.replace("parts/halved", f"parts/{space}")
        resolved = config.parse(text, name=space, registry=plugins.registry)
        train(resolved, folder / space, plugins=plugins, device="cpu")
    return {f"parts/{space.name}": space for space in folder.iterdir()}


@pytest.fixture
def latent_yaml(tmp_path: Path, autoencoders: dict[str, Path]) -> Path:
    """The latent model's file, of a trained autoencoder and not calibrated."""
    path = tmp_path / "latent.yaml"
    path.write_text(MODEL.replace("WEIGHTS", str(autoencoders["parts/halved"])))
    return path


class TrainLatent(Protocol):
    def __call__(self, file: Path, folder: Path, *overrides: str, resume: bool = False) -> Trained: ...


@pytest.fixture(scope="session")
def train_latent(plugins: Plugins) -> TrainLatent:
    """Trains a file here."""

    def run(file: Path, folder: Path, *overrides: str, resume: bool = False) -> Trained:
        resolved = config.load(file, overrides, registry=plugins.registry)
        return train(resolved, folder, plugins=plugins, resume=resume, device="cpu")

    return run


class Outcome(Protocol):
    def __call__(self, folder: Path) -> dict[str, Any]: ...


@pytest.fixture(scope="session")
def outcome() -> Outcome:
    """All that a run computed: every tensor's bits, every figure that is not a time, every picture's pixels."""

    def read(folder: Path) -> dict[str, Any]:
        run = RunFolder(folder)
        latest = run.latest()
        assert latest is not None
        checkpoint = open_checkpoint(latest)
        rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
        timed = ("seconds", "images_per_second", "data_wait")
        return {
            "digests": checkpoint.header.digests,
            "rows": [{key: value for key, value in row.items() if key not in timed} for row in rows],
            "pictures": {path.name: Image.open(path).tobytes() for path in run.samples.iterdir()},
        }

    return read


@dataclass
class Launched:
    """A real process running the `diffloom` command."""

    pid: int
    errors: Path
    server: subprocess.Popen[str]

    def wait(self) -> int:
        """Its exit code."""
        return int(_answer(self.server, {"wait": self.pid}))


class Launch(Protocol):
    def __call__(self, *words: object) -> Launched: ...


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Starts `diffloom` in a process of its own, without waiting for torch's import each time."""
    folder = tmp_path_factory.mktemp("launched")
    server = subprocess.Popen(
        [sys.executable, str(LAUNCHER), str(PARTS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"

    def start(*words: object) -> Launched:
        errors = folder / f"{len(list(folder.iterdir()))}.txt"
        errors.touch()
        order = {"args": [*map(str, words), "-p", str(PARTS)], "errors": str(errors)}
        return Launched(int(_answer(server, order)), errors, server)

    yield start
    server.stdin.close()
    server.wait(timeout=30)


def _answer(server: subprocess.Popen[str], order: dict[str, Any]) -> str:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(order) + "\n")
    server.stdin.flush()
    return server.stdout.readline()
