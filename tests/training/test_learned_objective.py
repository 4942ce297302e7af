"""An objective that learns: trained, saved and resumed with the run, and not needed for its samples.

Oracle: the run that never stopped, and Adam's own arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import diffloom
from diffloom.checkpoint import open_checkpoint
from diffloom.training import Trained
from diffloom.training.loop import Loop
from diffloom.training.run_folder import RunFolder

TrainTiny = Callable[..., Trained]
Outcome = Callable[[Path], dict[str, Any]]
LEARNED = (
    "objective={type: simple, weighting: {type: learned_log_variance, weighting: min_snr, features: 8}, "
    "timing: {type: second_moment, parts: 4, history: 3}}",
)
WEIGHT, COUNTS = "objective.weigh.linear.weight", "objective.noising.times.counts_P"


def beside(folder: Path) -> dict[str, torch.Tensor]:
    """What the newest checkpoint holds of the objective."""
    latest = RunFolder(folder).latest()
    assert latest is not None
    return open_checkpoint(latest).group("beside")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Path:
    """The folder of a run that was never stopped."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "whole", *LEARNED).folder


@pytest.mark.parametrize("stop", [6, 7, 12])
def test_a_resumed_run_ends_with_the_same_bits(
    *, tmp_path: Path, whole: Path, train_tiny: TrainTiny, outcome: Outcome, monkeypatch: Any, stop: int
) -> None:
    """Stopped without warning, before and after the checkpoint of step 7; the history of losses decides the times."""
    take = Loop._step

    def step_until(loop: Loop, batch: Any) -> Any:
        if loop.state.step == stop:
            raise InterruptedError
        return take(loop, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", step_until)
        with pytest.raises(InterruptedError):
            train_tiny(tmp_path / "stopped", *LEARNED)
    train_tiny(tmp_path / "stopped", *LEARNED, resume=True)
    assert outcome(tmp_path / "stopped") == outcome(whole)
    assert any(group == "beside" for group, _ in outcome(whole)["tensors"])


def test_it_was_trained_and_heard_every_loss(whole: Path) -> None:
    held = beside(whole)
    assert bool(held[WEIGHT].any())  # it began at 0
    assert held[COUNTS].tolist() == [3, 3, 3, 3]
    latest = RunFolder(whole).latest()
    assert latest is not None
    moments = open_checkpoint(latest).group("optimizer")
    assert float(moments[f"{WEIGHT}/step"]) == 20


def test_the_losses_it_heard_changed_the_times(tmp_path: Path, whole: Path, train_tiny: TrainTiny) -> None:
    """With a history that is never full the times stay uniform, and the run ends elsewhere."""
    uniform = train_tiny(tmp_path / "run", LEARNED[0].replace("history: 3", "history: 300")).folder
    weights = [open_checkpoint(RunFolder(folder).latest()).group("weights") for folder in (whole, uniform)]  # type: ignore[arg-type]
    assert not torch.equal(weights[0]["backbone.out.weight"], weights[1]["backbone.out.weight"])


def test_samples_do_not_need_it(whole: Path, parts: Path) -> None:
    latest = RunFolder(whole).latest()
    assert latest is not None
    checkpoint = open_checkpoint(latest)
    for group in ("weights", "ema", "frozen"):
        assert not any(name.startswith("objective") for name in checkpoint.group(group))
    pipe = diffloom.load(whole, plugins=(str(parts),), device="cpu")
    assert pipe.sample(n=1, steps=2).tensor.shape == (1, 1, 4, 4)


def test_equal_seeds_draw_equal_features(tmp_path: Path, whole: Path, train_tiny: TrainTiny) -> None:
    features = "objective.weigh.frequencies_F"
    again, other = (
        train_tiny(
            tmp_path / name,
            *LEARNED,
            f"train.seed={seed}",
            "train.steps=1",
            "train.lr_schedule.warmup_steps=0",
        ).folder
        for name, seed in (("again", 0), ("other", 1))
    )
    assert torch.equal(beside(again)[features], beside(whole)[features])
    assert not torch.equal(beside(other)[features], beside(whole)[features])


def test_an_objective_that_learns_nothing_leaves_no_group(tmp_path: Path, train_tiny: TrainTiny) -> None:
    run = train_tiny(tmp_path / "run", "train.steps=1", "train.lr_schedule.warmup_steps=0")
    assert "beside" not in open_checkpoint(run.checkpoint).header.digests
