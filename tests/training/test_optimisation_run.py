"""Optimisers, schedules and averages in a run, and in one that went on from a checkpoint. Oracle: the run unbroken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TrainTiny = Callable[..., Any]
HALF_WAY = 14
RUNS = {
    "prodigy": ["train.lr=1", "train.optimizer={type: prodigy, d0: 1e-3, weight_decay: 0.1}"],
    "lion": ["train.optimizer={type: lion, weight_decay: 0.1}"],
    "adafactor": ["train.optimizer={type: adafactor, weight_decay: 0.1}"],
    "sgd": ["train.optimizer={type: sgd, nesterov: true, weight_decay: 0.1}"],
}


@pytest.mark.parametrize("name", RUNS)
def test_it_goes_on_bit_for_bit(
    name: str, tmp_path: Path, train_tiny: TrainTiny, outcome: Callable[[Path], dict[str, Any]]
) -> None:
    """With a schedule that depends on the run's length, and an average that depends on the pictures seen."""
    changes = [
        *RUNS[name],
        "train.lr_schedule={type: cosine, warmup_steps: 4, floor: 0.1}",
        "train.ema={type: half_life, images: 30, rampup: 0.5}",
        "train.further_ema={long: {type: power, sigma_rel: 0.2}}",
        "train.sample_every=null",
        "train.keep_checkpoints=9",
    ]
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    train_tiny(straight, *changes)
    shutil.copytree(straight, resumed)
    for path in (resumed / "checkpoints").iterdir():
        if int(path.stem.removeprefix("step-")) > HALF_WAY:
            path.unlink()
    train_tiny(resumed, *changes, resume=True)
    expected, came = outcome(straight), outcome(resumed)
    assert came["tensors"] == expected["tensors"]
    assert came["rows"] == expected["rows"]
    groups = {group for group, _ in expected["tensors"]}
    assert {"ema", "ema:long", "weights", "optimizer"} <= groups
    averages = [
        [value for (group, _), value in expected["tensors"].items() if group == wanted]
        for wanted in ("ema", "ema:long", "weights")
    ]
    assert averages[0] != averages[1] != averages[2]


def test_the_rows_tell_the_schedule_s_rate(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """lr·(½ + ½·(1 − s)), warmed up over 4 of 12 steps; s is what of the other 8 is behind before the step."""
    train_tiny(
        tmp_path / "run",
        "train.steps=12",
        "train.lr=0.08",
        "train.lr_schedule={type: linear, warmup_steps: 4, floor: 0.5}",
        "train.sample_every=null",
        "train.log_every=2",
    )
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    rates = [row["lr"] for row in rows]
    assert rates == pytest.approx(
        [0.04, 0.08, 0.08 - 0.005, 0.08 - 0.015, 0.08 - 0.025, 0.08 - 0.035], rel=1e-12
    )
