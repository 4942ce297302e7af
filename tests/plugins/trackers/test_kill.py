"""A run that is killed and resumed, in all trackers at once. Oracle: the run's own files, which resume bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diffloom import config
from diffloom.plugins import load_plugins
from diffloom.training import train

PARTS = Path(__file__).parents[2] / "training" / "parts.py"
FILE = """\
image: {size: 4, channels: 1}
backbone: parts/perceptron
schedule: linear
prediction: epsilon
sampling: {sampler: ddpm, steps: 2}
data: {type: parts/gaussian, seconds_each: 0.05}
train:
  steps: 16
  batch_size: 2
  lr: 1e-2
  log_every: 1
  sample_every: 3
  checkpoint_every: 6
  trackers: [tensorboard, {type: wandb, mode: offline}, {type: mlflow, experiment: moons, tracking_uri: DATABASE}]
"""
TIMES = {"seconds", "images_per_second", "data_wait"}
"""Figures in which the steps that were taken twice differ."""


def test_each_row_and_picture_is_there_once(
    tmp_path: Path, empty_database: Path, readers: dict[str, Callable[[Path], Any]]
) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(FILE.replace("DATABASE", f"'sqlite:///{shutil.copy(empty_database, tmp_path)}'"))
    folder = tmp_path / "run"
    words = ["-p", str(PARTS), "-o", str(folder), "--device", "cpu"]
    others = {
        name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"
    }  # this process's own
    first = subprocess.Popen(
        [sys.executable, "-m", "diffloom", "train", str(file), *words],
        env=others | {"WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "0.05"},  # so that a part of it stays
        stderr=subprocess.PIPE,
    )
    metrics = folder / "metrics.jsonl"
    last = time.monotonic() + 120
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 7:
        assert first.poll() is None, first.stderr and first.stderr.read()
        assert time.monotonic() < last, "it takes no steps"
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert first.stderr is not None
    first.stderr.close()
    assert first.returncode == -signal.SIGKILL, "killed too late"
    plugins = load_plugins((str(PARTS),))
    train(config.load(file, registry=plugins.registry), folder, plugins=plugins, device="cpu", resume=True)

    rows = {row["step"]: row for row in map(json.loads, metrics.read_text().splitlines())}
    assert sorted(rows) == list(range(1, 17))
    sheets = {
        int(path.stem[5:]): np.asarray(Image.open(path).convert("RGB"))
        for path in (folder / "samples").iterdir()
    }
    assert sorted(sheets) == [3, 6, 9, 12, 15, 16]
    for name, read in readers.items():
        told = read(folder)
        assert told.doubles == [], name
        assert told.end == "finished", name
        assert sorted(step for step, row in told.rows.items() if row) == sorted(rows), name
        for step, row in rows.items():
            wanted = {key: np.float32(value) for key, value in row.items() if key not in TIMES | {"step"}}
            found = {key: np.float32(value) for key, value in told.rows[step].items() if key not in TIMES}
            assert found == wanted, f"{name}, step {step}"
        assert {step: pixels.tolist() for (_, step), pixels in told.pictures.items()} == {
            step: pixels.tolist() for step, pixels in sheets.items()
        }, name
