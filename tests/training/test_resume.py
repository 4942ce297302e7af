"""A run that was stopped and resumed ends with the bits of one that never was. Oracle: the run never stopped."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffloom import config
from diffloom.checkpoint import open_checkpoint
from diffloom.errors import RunError
from diffloom.plugins import Plugins
from diffloom.training import Trained, train
from diffloom.training.loop import Loop
from diffloom.training.progress import Silent
from diffloom.training.run_folder import RunFolder

TrainTiny = Callable[..., Trained]
Outcome = Callable[[Path], dict[str, Any]]
Launch = Callable[..., Any]

LONG = ("train.steps=600", "train.sample_every=150")
KILLS = 8


def test_killed_at_random_moments(
    tmp_path: Path, tiny: Path, parts: Path, launch: Launch, outcome: Outcome
) -> None:
    """SIGKILL to a real process, again and again; between kills it resumes.

    On a busy machine starting takes longer than the whole run did before: while nothing is saved yet, kills come later.
    """
    words = ("train", str(tiny), "-p", str(parts), "--device", "cpu")
    began = time.monotonic()
    whole = launch(*words, "-o", str(tmp_path / "whole"), *LONG)
    assert whole.wait() == 0, whole.errors.read_text()
    duration = time.monotonic() - began

    moments, patience = random.Random(5), 0.12 * duration
    folder, steps = tmp_path / "killed", []
    while len(steps) < KILLS:
        resume = ["--resume"] if folder.exists() else []
        process = launch(*words, "-o", str(folder), *resume, *LONG)
        time.sleep(moments.uniform(0, patience))
        os.kill(process.pid, signal.SIGKILL)
        ended = process.wait()
        if ended == 0:  # faster than it was told to be; an assertion below says whether enough was seen
            break
        assert ended == -signal.SIGKILL, process.errors.read_text()
        latest = RunFolder(folder).latest()
        if latest is not None:  # whenever the kill came, the newest checkpoint is whole
            checkpoint = open_checkpoint(latest)
            for group in checkpoint.header.digests:
                checkpoint.group(group)
            steps.append(checkpoint.step)
        else:
            patience *= 1.2
    assert steps == sorted(steps)
    assert len(steps) >= KILLS // 2
    assert 0 < steps[0] < 600  # the kills fell between the first step and the last
    process = launch(*words, "-o", str(folder), "--resume", *LONG)
    assert process.wait() == 0, process.errors.read_text()

    assert outcome(folder) == outcome(tmp_path / "whole")
    assert not list(folder.rglob(".*unfinished*"))
    assert not list(folder.rglob("*.tmp"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Path:
    """The folder of a run that was never stopped."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "whole").folder


@pytest.mark.parametrize("stop", [1, 6, 7, 8, 10, 12, 14, 19])
def test_stopped(
    *, tmp_path: Path, whole: Path, train_tiny: TrainTiny, outcome: Outcome, monkeypatch: Any, stop: int
) -> None:
    """Stopped without warning before and after checkpoints (7, 14), rows (3, 6, …) and samples (10)."""
    stopped_at(stop, monkeypatch, lambda: train_tiny(tmp_path / "stopped"))
    train_tiny(tmp_path / "stopped", resume=True)
    assert outcome(tmp_path / "stopped") == outcome(whole)


def stopped_at(stop: int, monkeypatch: pytest.MonkeyPatch, begin: Callable[[], object]) -> None:
    """Begin a run that breaks off after this step, without warning."""
    take = Loop._step

    def step_until(loop: Loop, batch: Any) -> Any:
        if loop.state.step == stop:
            raise InterruptedError
        return take(loop, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", step_until)
        with pytest.raises(InterruptedError):
            begin()


CONFIGURATIONS: dict[str, tuple[str, ...]] = {
    **{
        f"optimizer {name}": (f"train.optimizer={{type: {name}}}", f"train.lr={lr}")
        for name, lr in {"sgd": 0.1, "adafactor": 1e-2, "lion": 1e-3, "prodigy": 1}.items()
    },
    **{
        f"schedule {name}": (f"train.lr_schedule={{type: {name}, warmup_steps: 3}}",)
        for name in ("cosine", "linear", "inverse_sqrt")
    },
    "averages": (
        "train.ema={type: half_life, images: 40}",
        "train.further_ema={narrow: {type: power, sigma_rel: 0.05}, wide: {type: power, sigma_rel: 0.2}}",
        "train.snapshot_every=4",
    ),
    "bf16": ("train.precision=bf16",),
    "fp16": ("train.precision=fp16",),
    "passes": ("train.micro_batch_size=1", "backbone=parts/steady"),
    "checkpointing": ("train.gradient_checkpointing=true", "backbone=parts/steady"),
    "readers": ("train.workers=2",),
    "learned timing": ("objective={type: simple, timing: {type: second_moment}}",),
    "no clipping": ("train.grad_clip=null",),
    "an epoch and a half": ("data.examples=54",),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_whatever_is_trained(
    *, tmp_path: Path, train_tiny: TrainTiny, outcome: Outcome, monkeypatch: Any, name: str
) -> None:
    """Everything that has a state of its own, or a way of its own through the examples."""
    overrides = CONFIGURATIONS[name]
    train_tiny(tmp_path / "whole", *overrides)
    stopped_at(10, monkeypatch, lambda: train_tiny(tmp_path / "stopped", *overrides))
    train_tiny(tmp_path / "stopped", *overrides, resume=True)
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")
    snapshots = [
        {path.name: path.read_bytes() for path in (tmp_path / run / "snapshots").glob("*")}
        for run in ("stopped", "whole")
    ]
    assert snapshots[0] == snapshots[1]


def test_the_sentinel_looks_as_before(
    *, tmp_path: Path, train_tiny: TrainTiny, outcome: Outcome, monkeypatch: Any
) -> None:
    """What it measures is the same, means over its looks among it."""
    every = "train.sentinel.every=3"
    train_tiny(tmp_path / "whole", every)
    stopped_at(10, monkeypatch, lambda: train_tiny(tmp_path / "stopped", every))
    train_tiny(tmp_path / "stopped", every, resume=True)
    stopped, whole = outcome(tmp_path / "stopped"), outcome(tmp_path / "whole")
    assert stopped == whole
    assert any("noise_scale" in row for row in whole["rows"][4:])
    assert any(key.startswith("grad_norm_bucket_") for row in whole["rows"][3:] for key in row)


def test_a_longer_run(tmp_path: Path, train_tiny: TrainTiny, outcome: Outcome) -> None:
    """Raising train.steps gives the weights of a run that was that long from the start."""
    train_tiny(tmp_path / "whole", "train.steps=28")
    train_tiny(tmp_path / "longer")
    train_tiny(tmp_path / "longer", "train.steps=28", resume=True)
    assert (
        outcome(tmp_path / "longer")["tensors"].items()
        >= {
            key: value for key, value in outcome(tmp_path / "whole")["tensors"].items() if key[0] != "meter"
        }.items()
    )
    assert "steps: 28" in (tmp_path / "longer" / "config.resolved.yaml").read_text()


def test_a_finished_run_stays(tmp_path: Path, whole: Path, train_tiny: TrainTiny, outcome: Outcome) -> None:
    shutil.copytree(whole, tmp_path / "run")
    before = outcome(whole)
    trained = train_tiny(tmp_path / "run", resume=True)
    assert trained.step == 20
    assert trained.checkpoint == tmp_path / "run" / "checkpoints" / "step-00000020.safetensors"
    assert outcome(tmp_path / "run") == before


def test_workers_change_nothing(tmp_path: Path, whole: Path, train_tiny: TrainTiny, outcome: Outcome) -> None:
    train_tiny(tmp_path / "helped", "train.workers=2")
    assert outcome(tmp_path / "helped")["tensors"] == outcome(whole)["tensors"]


def test_another_configuration(tmp_path: Path, whole: Path, train_tiny: TrainTiny) -> None:
    shutil.copytree(whole, tmp_path / "run")
    with pytest.raises(RunError) as caught:
        train_tiny(tmp_path / "run", "train.lr=2e-3", "backbone.width=9", "train.steps=10", resume=True)
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: this run was begun with another configuration:\n"
        "  backbone.width: 8 → 9\n"
        "  train.lr: 0.01 → 0.002\n"
        "  train.steps: 20 → 10\n"
        "Take these back, or choose another -o. A resumed run may only raise train.steps and change "
        "train.checkpoint_every, train.compile, train.convolutions, train.gradient_checkpointing, "
        "train.keep_checkpoints, train.keep_every, train.log_every, train.micro_batch_size, train.parallel, "
        "train.sample_every, train.sentinel.every, train.sentinel.stops, train.snapshot_every, train.trackers, "
        "train.workers."
    )


def test_allowed_changes_are_told(
    tmp_path: Path, whole: Path, tiny: Path, parts: Path, launch: Launch
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    words = ("train", str(tiny), "-p", str(parts), "-o", str(tmp_path / "run"))
    process = launch(*words, "--resume", "train.steps=25", "train.log_every=5")
    assert process.wait() == 0
    told = process.errors.read_text()
    assert "changed since the run began: train.log_every: 3 → 5\n" in told
    assert "changed since the run began: train.steps: 20 → 25\n" in told


class Heard(Silent):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def test_another_plugin_version_is_told(tmp_path: Path, whole: Path, plugins: Plugins, tiny: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    resolved = tmp_path / "run" / "config.resolved.yaml"
    was = plugins.registry.versions["parts"]
    resolved.write_text(resolved.read_text().replace(was, "sha256:0000"))

    heard = Heard()
    train(
        config.load(tiny, registry=plugins.registry),
        tmp_path / "run",
        plugins=plugins,
        resume=True,
        device="cpu",
        progress=heard,
    )
    assert f"changed since the run began: plugins.parts: 'sha256:0000' → {was!r}" in heard.lines
