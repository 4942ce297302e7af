"""What a resumed run may change. Oracle: the run that was never stopped, and the list of every key of `train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffloom.config.document import Sentinel, Train
from diffloom.errors import RunError
from diffloom.training import Trained
from diffloom.training.changes import EXACT, FREE, ROUNDED, Change, changes, require_resumable

TrainTiny = Callable[..., Trained]
Outcome = Callable[[Path], dict[str, Any]]
NUMBERS = {
    "batch_size",
    "ema",
    "further_ema",
    "grad_clip",
    "lr",
    "lr_schedule",
    "optimizer",
    "precision",
    "seed",
}
"""Keys of `train` that trained weights depend on."""


def test_every_key_of_training_is_judged() -> None:
    keys = Train.model_fields.keys() - {"sentinel"} | {f"sentinel.{key}" for key in Sentinel.model_fields}
    assert {key.removeprefix("train.") for key in FREE} == keys - NUMBERS - {"steps"}


@pytest.mark.parametrize("key", sorted(FREE))
def test_what_is_free(key: str) -> None:
    require_resumable([Change(key, 1, 2)], "run", open_ended=False)


@pytest.mark.parametrize(
    "key", [*(f"train.{key}" for key in sorted(NUMBERS)), "backbone.width", "sampling.steps"]
)
def test_what_is_refused(key: str) -> None:
    with pytest.raises(
        RunError, match=rf"^run: this run was begun with another configuration:\n  {key}: 1 → 2\n"
    ):
        require_resumable([Change("train.workers", 0, 1), Change(key, 1, 2)], "run", open_ended=True)


def test_a_longer_run_where_the_rate_looks_to_the_end(tmp_path: Path, train_tiny: TrainTiny) -> None:
    cosine = "train.lr_schedule={type: cosine, warmup_steps: 1}"
    train_tiny(tmp_path / "run", cosine)
    with pytest.raises(RunError) as caught:
        train_tiny(tmp_path / "run", cosine, "train.steps=28", resume=True)
    told = str(caught.value)
    assert "\n  train.steps: 20 → 28\n" in told
    assert "A resumed run may only change train.checkpoint_every, " in told
    assert told.endswith(
        " The steps taken had the learning rates of a run of that length: train.lr_schedule looks to the end."
    )


def test_a_shorter_run() -> None:
    with pytest.raises(RunError, match=r"train\.steps: 20 → 10\n.* may only raise train\.steps and change "):
        require_resumable([Change("train.steps", 20, 10)], "run", open_ended=True)


def test_rounding_is_told() -> None:
    assert str(Change("train.compile", False, True)) == (
        "train.compile: False → True (what follows rounds differently)"
    )
    assert str(Change("train.workers", 0, 2)) == "train.workers: 0 → 2"
    assert ROUNDED.isdisjoint(EXACT)


def test_lists_and_empty_mappings_are_values() -> None:
    before = {"train": {"trackers": [], "further_ema": {}, "steps": 5}}
    now = {
        "train": {"trackers": [{"type": "tensorboard"}], "further_ema": {"slow": {"decay": 0.5}}, "steps": 5}
    }
    assert [change.key for change in changes(before, now)] == [
        "train.further_ema",
        "train.further_ema.slow.decay",
        "train.trackers",
    ]


def test_exact_changes_change_no_bit(tmp_path: Path, train_tiny: TrainTiny, outcome: Outcome) -> None:
    train_tiny(tmp_path / "whole", "train.steps=9")
    train_tiny(tmp_path / "changed", "train.steps=4")
    now = (
        "train.workers=1",
        "train.gradient_checkpointing=true",
        "train.sentinel.every=2",
        "train.keep_every=7",
    )
    train_tiny(tmp_path / "changed", "train.steps=9", *now, resume=True)
    changed, whole = outcome(tmp_path / "changed")["tensors"], outcome(tmp_path / "whole")["tensors"]
    measured = {key for key in changed if key[0] == "meter" and key[1].startswith("kept/")}
    assert measured, "nothing was looked at closely"
    assert {key: value for key, value in changed.items() if key not in measured} == whole
