"""Where a run computes: devices, and the user's own use of accelerate. Oracle: accelerate's own state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState

from diffloom.checkpoint import open_checkpoint
from diffloom.errors import DiffloomError, LostProcessError, SentinelError
from diffloom.sentinel import Finding, Watch
from diffloom.training import Trained
from diffloom.training.processes import Processes
from diffloom.training.run_folder import RunFolder

TrainTiny = Callable[..., Trained]
Outcome = Callable[[Path], dict[str, Any]]
SHORT = ("train.steps=4", "train.sample_every=null")


@pytest.fixture
def clean() -> Iterator[None]:
    """accelerate as a new process finds it, before and after."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("clean")
def test_accelerate_is_left_as_it_was(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """Runs of several precisions, one after another, and then a user's own settings."""
    for precision in ("fp32", "bf16", "fp32"):
        train_tiny(tmp_path / str(len(list(tmp_path.iterdir()))), *SHORT, f"train.precision={precision}")
        assert PartialState._shared_state == {}
    assert Accelerator(cpu=True, mixed_precision="bf16").mixed_precision == "bf16"


@pytest.mark.usefixtures("clean")
def test_a_user_s_own_accelerator_stays(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """It says how its user computes, and the file how the run does."""
    expected = open_checkpoint(train_tiny(tmp_path / "alone", *SHORT).checkpoint)
    theirs = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=3)
    found = open_checkpoint(train_tiny(tmp_path / "beside", *SHORT).checkpoint)
    assert found.header.digests == expected.header.digests
    assert theirs.mixed_precision == "bf16"
    assert AcceleratorState._shared_state


@pytest.mark.usefixtures("clean")
def test_what_accelerate_launch_says_of_precision_is_not_heard(
    tmp_path: Path, train_tiny: TrainTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its defaults and its questionnaire's answers come as environment variables; the YAML alone says what is done."""
    expected = open_checkpoint(train_tiny(tmp_path / "alone", *SHORT).checkpoint)
    for name, value in {
        "MIXED_PRECISION": "bf16",
        "GRADIENT_ACCUMULATION_STEPS": "4",
        "DYNAMO_BACKEND": "INDUCTOR",
    }.items():
        monkeypatch.setenv(f"ACCELERATE_{name}", value)
    found = open_checkpoint(train_tiny(tmp_path / "launched", *SHORT).checkpoint)
    assert found.header.digests == expected.header.digests


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("device", ["cuda:1", torch.device("cpu:0")])
def test_one_device_for_several_processes(monkeypatch: pytest.MonkeyPatch, device: Any) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DiffloomError) as caught:
        Processes(device)
    assert str(caught.value) == (
        f"device '{device}': each of several processes has a device of its own; say cuda or cpu"
    )
    assert PartialState._shared_state == {}


@pytest.mark.usefixtures("clean")
def test_errors_that_are_no_loss_of_a_process_stay_themselves(tmp_path: Path) -> None:
    """The words by which a lost process is known mean nothing where there is only one."""
    processes = Processes("cpu")
    with pytest.raises(RuntimeError, match="gloo") as caught, processes.closed_after(RunFolder(tmp_path)):
        raise RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer")
    assert not isinstance(caught.value, LostProcessError)


FINDING = Finding(5, "loud", "the loss is loud")


def findings(patch: pytest.MonkeyPatch) -> None:
    """Let the sentinel find something after step 5, and again after step 6."""

    def heard(watch: Watch, taken: Any, **_: Any) -> list[Finding]:
        return [FINDING] if taken.step in (5, 6) else []

    patch.setattr(Watch, "heard", heard)


def test_the_sentinel_stops_a_run(
    tmp_path: Path, train_tiny: TrainTiny, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved, with an exit code of its own; what it stopped goes on to the same end."""
    folder, whole = tmp_path / "run", tmp_path / "whole"
    with monkeypatch.context() as patch:
        findings(patch)
        with pytest.raises(SentinelError) as caught:
            train_tiny(folder, "train.sentinel.stops=true")
    saved = RunFolder(folder).checkpoint(5)
    assert RunFolder(folder).latest() == saved
    assert str(caught.value) == (
        f"step 5: loud: the loss is loud; saved {saved}. Mend what is named, or leave out train.sentinel.stops to "
        "be told and go on"
    )
    assert caught.value.exit_code == 3
    train_tiny(folder, "train.sentinel.stops=true", resume=True)
    train_tiny(whole, "train.sentinel.stops=true")
    assert outcome(folder) == outcome(whole)


def test_the_sentinel_only_tells(
    tmp_path: Path, train_tiny: TrainTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings(monkeypatch)
    run = RunFolder(train_tiny(tmp_path / "run").folder)
    assert run.checkpoint(20).exists()
    assert len(run.findings.read_text().splitlines()) == 2


def test_sharding_says_which_torch_it_needs(
    tmp_path: Path, train_tiny: TrainTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", "2.8.1")
    with pytest.raises(DiffloomError, match=r"train.parallel: sharded weights need torch 2.9 or newer"):
        train_tiny(tmp_path / "run", "train.parallel=sharded")
    assert not (tmp_path / "run").exists()
    train_tiny(tmp_path / "run", "train.steps=1", "train.lr_schedule.warmup_steps=0")
