"""A schedule that is trained: saved with the model, resumed bit for bit. Oracle: the run that never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

import diffloom
from diffloom.checkpoint import open_checkpoint
from diffloom.process import MonotoneSchedule
from diffloom.training import Trained

TrainTiny = Callable[..., Trained]
LEARNED = ("schedule={type: learned, hidden: 4}", "train.sample_every=null", "train.checkpoint_every=3")


def test_it_learns_is_saved_and_resumes_bit_for_bit(
    tmp_path: Path, train_tiny: TrainTiny, parts: Path
) -> None:
    whole = train_tiny(tmp_path / "whole", *LEARNED, "train.steps=6").checkpoint
    train_tiny(tmp_path / "stopped", *LEARNED, "train.steps=3")
    stopped = train_tiny(tmp_path / "stopped", *LEARNED, "train.steps=6", resume=True).checkpoint
    straight, resumed = open_checkpoint(whole), open_checkpoint(stopped)
    for group in ("weights", "ema", "optimizer"):
        ours, theirs = straight.group(group), resumed.group(group)
        assert any(name.startswith("schedule.") for name in ours)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())

    pipe = diffloom.load(tmp_path / "stopped", plugins=(str(parts),), device="cpu")
    schedule = pipe.schedule
    assert isinstance(schedule, MonotoneSchedule)
    assert schedule is pipe.module["schedule"], "what is saved is what is sampled with"
    torch.testing.assert_close(
        schedule.state_dict()["log_snr_max"], straight.tensors()["schedule.log_snr_max"]
    )
    assert schedule.log_snr_max.item() != torch.tensor(13.3).item(), "moved by the simple loss"
    again = diffloom.load(tmp_path / "whole", plugins=(str(parts),), device="cpu")
    assert torch.equal(pipe.sample(n=2, label=[0, 1]).tensor, again.sample(n=2, label=[0, 1]).tensor)


def test_every_weight_of_it_moves(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """The gradient of the simple loss reaches each through alpha and sigma of the noised examples and the target."""
    one, six = (
        open_checkpoint(train_tiny(tmp_path / str(steps), *LEARNED, f"train.steps={steps}").checkpoint)
        for steps in (1, 6)
    )
    before, after = one.group("weights"), six.group("weights")
    names = [name for name in before if name.startswith("schedule.")]
    assert len(names) == 7
    assert not [name for name in names if torch.equal(before[name], after[name])]
