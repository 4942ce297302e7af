"""What the tests of training share: a model of three hundred weights that trains in a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from diffloom import config
from diffloom.checkpoint import open_checkpoint
from diffloom.plugins import Plugins, load_plugins
from diffloom.training import Trained, train
from diffloom.training.run_folder import RunFolder

HERE = Path(__file__).parent
PARTS = HERE / "parts.py"
TINY = """\
image: {size: 4, channels: 1}
conditioners:
  label: {type: class_label, classes: 2, dropout: 0.2}
backbone: parts/perceptron
schedule: {type: linear, steps: 1000}
prediction: epsilon
sampling: {sampler: ddpm, steps: 2}
data: {type: parts/gaussian, class_means: [-0.5, 0.5]}
train:
  steps: 20
  batch_size: 4
  lr: 1e-2
  lr_schedule: {warmup_steps: 1}
  optimizer: {weight_decay: 0.1}
  log_every: 3
  sample_every: 10
  checkpoint_every: 7
"""


class TrainTiny(Protocol):
    def __call__(
        self, folder: Path, *overrides: str, resume: bool = False, text: str | None = None
    ) -> Trained: ...


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    """The installed plugins and the parts."""
    return load_plugins((str(PARTS),))


@pytest.fixture(scope="session")
def parts() -> Path:
    """The plugin file, for command lines."""
    return PARTS


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's configuration."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def train_tiny(tiny: Path, plugins: Plugins) -> TrainTiny:
    """Trains it here, with overrides; or another configuration, given as text."""

    def run(folder: Path, *overrides: str, resume: bool = False, text: str | None = None) -> Trained:
        if text is not None:
            resolved = config.parse(text, name="text", registry=plugins.registry)
        else:
            resolved = config.load(tiny, overrides, registry=plugins.registry)
        return train(resolved, folder, plugins=plugins, resume=resume, device="cpu")

    return run


class Outcome(Protocol):
    def __call__(self, folder: Path) -> dict[str, Any]: ...


@pytest.fixture(scope="session")
def outcome() -> Outcome:
    """All that a run computed: every tensor's bytes, every figure that is not a time, every picture."""

    def read(folder: Path) -> dict[str, Any]:
        run = RunFolder(folder)
        latest = run.latest()
        assert latest is not None
        checkpoint = open_checkpoint(latest)
        rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
        return {
            "step": checkpoint.step,
            "tensors": {
                (group, name): (tensor.dtype, tuple(tensor.shape), tensor.numpy().tobytes())
                for group in sorted(checkpoint.header.digests)
                for name, tensor in checkpoint.group(group).items()
            },
            "rows": [
                {
                    key: value
                    for key, value in row.items()
                    if key not in ("seconds", "images_per_second", "data_wait")
                }
                for row in rows
            ],
            "pictures": {path.name: path.read_bytes() for path in run.samples.iterdir()},
        }

    return read


@dataclass
class Launched:
    """A real process running the `diffloom` command."""

    pid: int
    errors: Path
    """Its stderr."""
    server: subprocess.Popen[str]

    def wait(self) -> int:
        """Its exit code; −9 for one that was killed."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps({"wait": self.pid}) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())


class Launch(Protocol):
    def __call__(self, *args: str) -> Launched: ...


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Starts `diffloom` in a process of its own, without waiting for torch's import each time."""
    folder = tmp_path_factory.mktemp("launched")
    server = subprocess.Popen(
        [sys.executable, str(HERE / "launcher.py"), str(PARTS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    count = 0

    def start(*args: str) -> Launched:
        nonlocal count
        count += 1
        errors = folder / f"{count}.txt"
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps({"args": args, "errors": str(errors)}) + "\n")
        server.stdin.flush()
        return Launched(int(server.stdout.readline()), errors, server)

    yield start
    server.stdin.close()
    server.wait(timeout=30)
