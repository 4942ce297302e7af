"""Observers hear what happens and change nothing, whatever they do. Oracle: the run that nobody observed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diffloom import hookimpl
from diffloom.hooks import RunInfo
from diffloom.plugins import Plugins
from diffloom.training import Trained
from diffloom.training.loop import Loop

TrainTiny = Callable[..., Trained]
Outcome = Callable[[Path], dict[str, Any]]


class Listener:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    @hookimpl
    def diffloom_run_start(self, run: RunInfo) -> None:
        self.heard.append(
            ("start", run.folder, run.first_step, run.last_step, "parts/perceptron" in run.config)
        )

    @hookimpl
    def diffloom_step_end(self, step: int, metrics: Mapping[str, float]) -> None:
        self.heard.append(("step", step, metrics["step"]))

    @hookimpl
    def diffloom_samples(self, step: int, grid: Any) -> None:
        self.heard.append(("samples", step, grid.mode))

    @hookimpl
    def diffloom_checkpoint_saved(self, step: int, path: Path) -> None:
        self.heard.append(("checkpoint", step, path.name, path.exists()))

    @hookimpl
    def diffloom_run_end(self, step: int, reason: str) -> None:
        self.heard.append(("end", step, reason))


class Vandal:
    """Does everything an observer should not, without raising."""

    def __init__(self) -> None:
        self.refused = 0
        self.calls = 0

    def _spoil(self) -> None:
        self.calls += 1
        torch.manual_seed(0)
        torch.rand(3)
        np.random.seed(0)
        random.seed(0)

    @hookimpl
    def diffloom_run_start(self, run: RunInfo) -> None:
        self._spoil()

    @hookimpl
    def diffloom_step_end(self, run: RunInfo, metrics: dict[str, float]) -> None:
        self._spoil()
        try:
            metrics["loss"] = float("nan")
        except TypeError:
            self.refused += 1

    @hookimpl
    def diffloom_samples(self, grid: Any) -> None:
        self._spoil()
        grid.paste(0, (0, 0, *grid.size))

    @hookimpl
    def diffloom_checkpoint_saved(self) -> None:
        self._spoil()


class Raiser:
    """Raises whenever it is told anything."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    @hookimpl
    def diffloom_run_start(self) -> None:
        self.calls += 1
        raise self.error

    @hookimpl
    def diffloom_step_end(self) -> None:
        self.calls += 1
        raise self.error


@pytest.fixture
def join(plugins: Plugins) -> Any:
    """Lets observers listen for one test."""
    joined: list[object] = []

    def register(observer: object, name: str) -> Any:
        module = ModuleType(name)  # plugins are modules
        for hook in (word for word in dir(observer) if word.startswith("diffloom_")):
            setattr(module, hook, getattr(observer, hook))
        plugins.manager.register(module, name=name)
        joined.append(module)
        return observer

    yield register
    for module in joined:
        plugins.manager.unregister(module)


def test_what_observers_hear(tmp_path: Path, train_tiny: TrainTiny, join: Any) -> None:
    listener = join(Listener(), "listener")
    train_tiny(tmp_path / "run", "train.steps=8", "train.log_every=4", "train.sample_every=6")
    assert listener.heard == [
        ("start", tmp_path / "run", 0, 8, True),
        ("step", 4, 4),
        ("samples", 6, "L"),
        ("checkpoint", 7, "step-00000007.safetensors", True),
        ("step", 8, 8),
        ("checkpoint", 8, "step-00000008.safetensors", True),
        ("samples", 8, "L"),
        ("end", 8, "finished"),
    ]


def test_reasons_and_resuming(
    tmp_path: Path, train_tiny: TrainTiny, join: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = join(Listener(), "listener")
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_tiny(tmp_path / "run")
    assert listener.heard[-1] == ("end", 0, "failed")
    train_tiny(tmp_path / "run", resume=True)
    listener.heard.clear()
    train_tiny(tmp_path / "run", "train.steps=21", resume=True)
    assert listener.heard[0] == ("start", tmp_path / "run", 20, 21, True)


def test_observers_change_no_number(
    tmp_path: Path, train_tiny: TrainTiny, outcome: Outcome, join: Any
) -> None:
    train_tiny(tmp_path / "alone")
    vandal = join(Vandal(), "vandal")
    train_tiny(tmp_path / "observed")
    assert vandal.calls == 1 + 7 + 2 + 3  # start, rows, samples, checkpoints
    assert vandal.refused == 7
    assert outcome(tmp_path / "observed") == outcome(tmp_path / "alone")


def test_each_observer_has_its_own_copy(tmp_path: Path, train_tiny: TrainTiny, join: Any) -> None:
    """The picture one observer paints over is not the next one's. Oracle: the file."""
    seen: list[bytes] = []

    class Looker:
        @hookimpl
        def diffloom_samples(self, grid: Any) -> None:
            seen.append(grid.tobytes())

    join(Looker(), "before")
    join(Vandal(), "vandal")
    join(Looker(), "after")
    folder = train_tiny(tmp_path / "run", "train.steps=10").folder
    with Image.open(folder / "samples" / "step-00000010.png") as picture:
        assert seen == [picture.tobytes()] * 2


@pytest.mark.parametrize("error", [RuntimeError("no network"), SystemExit(3)])
def test_one_that_raises_is_reported_once(
    *,
    tmp_path: Path,
    train_tiny: TrainTiny,
    join: Any,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    raiser, listener = join(Raiser(error), "acme-tracker"), join(Listener(), "listener")
    train_tiny(tmp_path / "run", "train.steps=6")
    assert raiser.calls == 1
    assert [record.getMessage() for record in caplog.records if record.name == "diffloom"] == [
        f"plugin acme-tracker: diffloom_run_start raised {type(error).__name__}: {error}; "
        "it is not told of the rest of this run"
    ]
    assert [news[0] for news in listener.heard] == ["start", "step", "step", "checkpoint", "samples", "end"]


def test_the_callers_generators_stay(tmp_path: Path, train_tiny: TrainTiny) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    train_tiny(tmp_path / "run", "train.steps=3")
    assert torch.equal(torch.get_rng_state(), before)
