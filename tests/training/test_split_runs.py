"""A run is the same however its steps are split, in real processes that `torchrun` starts.

Oracle: one process, one pass. One launch does all runs, since starting costs more than training. The losses' history
decides the times, conditions and activations are dropped, gradients clipped and weights averaged: all of it must not
see the split.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import diffloom
from diffloom.checkpoint import Checkpoint, open_checkpoint
from diffloom.plugins import Plugins
from diffloom.training import Trained
from diffloom.training.loop import Loop
from diffloom.training.run_folder import RunFolder

TrainTiny = Callable[..., Trained]
HERE = Path(__file__).parent
STEADY = (
    "backbone=parts/steady",
    "objective={type: simple, timing: {type: second_moment, parts: 2, history: 3}}",
    "train.batch_size=8",
    "train.grad_clip=0.5",
    "train.log_every=5",
    "train.checkpoint_every=6",
    "train.keep_checkpoints=9",
    "train.sample_every=10",
    "train.further_ema={narrow: {type: power, sigma_rel: 0.05}, wide: {type: power, sigma_rel: 0.1}}",
    "train.snapshot_every=6",
)
SHARDED = "train.parallel=sharded"
AUTOENCODER = """\
image: {size: 8, channels: 1}
space: parts/codes
autoencoder:
  criteria: [lp, {type: parts/fixed, weight: 0.7, start_step: 4}]
  regularisation: 0.02
data: {type: parts/gaussian, examples: 30}
train: {steps: 10, batch_size: 7, lr: 1e-2, optimizer: {weight_decay: 0.1}, log_every: 2, sample_every: 6}
"""
STOP = 15
PATIENCE_SECONDS = 300
RUNS: dict[str, dict[str, Any]] = {
    "2 processes": {},
    "2 processes, 2 passes": {"overrides": ["train.micro_batch_size=2"]},
    "2 processes, uneven": {"overrides": ["train.batch_size=7"]},
    "2 processes, uneven passes": {"overrides": ["train.batch_size=7", "train.micro_batch_size=2"]},
    "shares": {"overrides": [SHARDED]},
    "shares, 2 passes": {"overrides": [SHARDED, "train.micro_batch_size=2"]},
    "shares, uneven": {"overrides": [SHARDED, "train.batch_size=7"]},
    "2 processes, recomputed": {
        "overrides": ["train.gradient_checkpointing=true", "train.micro_batch_size=2"]
    },
    "shares, recomputed": {"overrides": [SHARDED, "train.gradient_checkpointing=true"]},
    "fp16": {"overrides": ["train.precision=fp16", "backbone.loudness=1000"]},
    "a weight unused": {"overrides": ["backbone.spare=true"]},
    "shares, stopped": {"overrides": [SHARDED], "stop": STOP},
    "shares, stopped; one goes on": {"overrides": [SHARDED], "stop": STOP},
    "one, stopped; shares": {"overrides": [SHARDED], "resume": True},
    "autoencoder": {"file": "autoencoder.yaml", "overrides": []},
    "autoencoder, shares": {"file": "autoencoder.yaml", "overrides": [SHARDED]},
    "wrong shape": {"overrides": ["data.shapeless_at=5"]},
    "not a number": {"overrides": ["data.nan_at=5"]},
    "no such run": {"resume": True},
    "few examples": {"overrides": ["train.batch_size=1"]},
    "shares, fp16": {"overrides": [SHARDED, "train.precision=fp16"]},
}
"""What the two processes do, by the name of the run's folder."""


class Launched:
    """The folders of all runs, and what each process met in each."""

    def __init__(self, folder: Path, met: list[list[str]]) -> None:
        self.folder = folder
        self.met = dict(zip(RUNS, zip(*met, strict=True), strict=True))

    def run(self, name: str) -> RunFolder:
        return RunFolder(self.folder / name)


@pytest.fixture(scope="module")
def launched(
    tmp_path_factory: pytest.TempPathFactory, tiny: Path, parts: Path, train_tiny: TrainTiny
) -> Launched:
    """All runs, by two processes."""
    folder = tmp_path_factory.mktemp("launched")
    orders = folder / "orders.json"
    take = Loop._step

    def stopping(loop: Loop, passes: Any) -> Any:
        if loop.state.step == STOP:
            raise InterruptedError
        return take(loop, passes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_step", stopping)
        with pytest.raises(InterruptedError):
            train_tiny(folder / "one, stopped; shares", *STEADY, SHARDED)
    (folder / "autoencoder.yaml").write_text(AUTOENCODER)
    listed: list[dict[str, Any]] = [
        {
            **run,
            "folder": str(folder / name),
            "file": str(folder / run.get("file", tiny)),
            "overrides": [*(() if "file" in run else STEADY), *run.get("overrides", ())],
        }
        for name, run in RUNS.items()
    ]
    stopped = listed[list(RUNS).index("shares, stopped")]
    resumed = {**stopped, "stop": None, "resume": True}
    orders.write_text(json.dumps([*listed, resumed]))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(HERE / "together.py"), str(orders), str(parts)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    met = [json.loads(orders.with_suffix(f".{process}").read_text()) for process in (0, 1)]
    assert [each.pop() for each in met] == ["finished"] * 2
    return Launched(folder, met)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Callable[..., RunFolder]:
    """The same run by one process in one pass; each made once."""
    made: dict[tuple[str, ...], RunFolder] = {}

    def run(*overrides: str) -> RunFolder:
        if overrides not in made:
            folder = tmp_path_factory.mktemp("alone") / "run"
            made[overrides] = RunFolder(train_tiny(folder, *STEADY, *overrides).folder)
        return made[overrides]

    return run


def checkpoint(run: RunFolder) -> Checkpoint:
    latest = run.latest()
    assert latest is not None
    return open_checkpoint(latest)


def require_same(found: Checkpoint, expected: Checkpoint) -> None:
    """Every tensor to 1e-6 (float32 sums of gradients in another order, over at most 20 steps of 1e-2)."""
    assert found.step == expected.step
    assert found.header.groups == expected.header.groups
    for group in expected.header.groups:
        ours, theirs = found.group(group), expected.group(group)
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            torch.testing.assert_close(
                ours[name], tensor, atol=1e-6, rtol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
            )


def rows(run: RunFolder) -> list[dict[str, float]]:
    timed = ("seconds", "images_per_second", "data_wait")
    read = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in timed} for row in read]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("2 processes", 8),
        ("2 processes, 2 passes", 8),
        ("2 processes, uneven", 7),
        ("2 processes, uneven passes", 7),
        ("shares", 8),
        ("shares, 2 passes", 8),
        ("shares, uneven", 7),
        ("2 processes, recomputed", 8),
        ("shares, recomputed", 8),
        ("shares, stopped", 8),
        ("one, stopped; shares", 8),
    ],
)
def test_processes(*, launched: Launched, alone: Callable[..., RunFolder], name: str, size: int) -> None:
    """Weights, averages, moments, the losses' history, and what the rows say of every example."""
    run, expected = launched.run(name), alone(f"train.batch_size={size}")
    assert (
        launched.met[name] == ("InterruptedError: stopped",) * 2
        if "stop" in RUNS[name]
        else ("finished",) * 2
    )
    require_same(checkpoint(run), checkpoint(expected))
    assert checkpoint(expected).step == 20
    for ours, theirs in zip(rows(run), rows(expected), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    assert {path.name for path in run.samples.iterdir()} == {path.name for path in expected.samples.iterdir()}


def test_passes(tmp_path: Path, train_tiny: TrainTiny, alone: Callable[..., RunFolder]) -> None:
    """One process, four passes of two."""
    train_tiny(tmp_path / "run", *STEADY, "train.micro_batch_size=2")
    require_same(checkpoint(RunFolder(tmp_path / "run")), checkpoint(alone("train.batch_size=8")))
    assert rows(RunFolder(tmp_path / "run")) == [
        pytest.approx(row, rel=1e-6, abs=1e-6) for row in rows(alone("train.batch_size=8"))
    ]


def test_overflows(launched: Launched, alone: Callable[..., RunFolder]) -> None:
    """What overflows in fp16 is an example's gradient, which no split makes larger: the same steps are left out."""
    run, expected = launched.run("fp16"), alone("train.batch_size=8", *RUNS["fp16"]["overrides"])
    assert launched.met["fp16"] == ("finished", "finished")
    found, scaling = checkpoint(run).group("scaler"), checkpoint(expected).group("scaler")
    assert {name: float(value) for name, value in found.items()} == {n: float(v) for n, v in scaling.items()}
    assert [row["skipped_steps"] for row in rows(run)] == [row["skipped_steps"] for row in rows(expected)]
    assert rows(run)[0]["skipped_steps"] > 0


def test_a_weight_without_a_gradient(launched: Launched, alone: Callable[..., RunFolder]) -> None:
    """A layer that nothing calls is left as it is, whoever waits for gradients."""
    run = launched.run("a weight unused")
    assert launched.met["a weight unused"] == ("finished", "finished")
    require_same(checkpoint(run), checkpoint(alone("train.batch_size=8", "backbone.spare=true")))


@pytest.mark.parametrize("name", ["autoencoder", "autoencoder, shares"])
def test_an_autoencoder(launched: Launched, tmp_path: Path, train_tiny: TrainTiny, name: str) -> None:
    """Criteria that begin late; each figure of a row is the mean over all processes' examples."""
    run = RunFolder(train_tiny(tmp_path / "alone", text=AUTOENCODER).folder)
    assert launched.met[name] == ("finished", "finished")
    require_same(checkpoint(launched.run(name)), checkpoint(run))
    assert rows(run)[-1].keys() >= {"lp", "fixed", "regularisation"}
    assert rows(launched.run(name)) == [pytest.approx(row, rel=1e-6, abs=1e-6) for row in rows(run)]


def test_shares_of_a_checkpoint(
    launched: Launched, alone: Callable[..., RunFolder], plugins: Plugins, parts: Path
) -> None:
    """Read by one process, it has the tensors of the file that one process would have written; a model is loaded from a
    run that has nothing else."""
    run = launched.run("shares, stopped; one goes on")
    assert [path.name for path in run.saved()] == ["step-00000006.sharded", "step-00000012.sharded"]
    files = sorted(path.name for path in run.saved()[-1].iterdir())
    assert files == ["diffloom.json", *(f"shard-0000{n}-model-00001-of-00001.safetensors" for n in (1, 2))]
    saved = checkpoint(run)
    whole = open_checkpoint(alone("train.batch_size=8").checkpoint(12))
    require_same(saved, whole)
    weights = diffloom.load(run.path, plugins=(str(parts),), device="cpu").module.state_dict()
    for name, tensor in saved.tensors("ema").items():
        assert torch.equal(weights[name], tensor)


def test_one_goes_on_where_two_were(
    launched: Launched, alone: Callable[..., RunFolder], train_tiny: TrainTiny
) -> None:
    run = launched.run("shares, stopped; one goes on")
    train_tiny(run.path, *STEADY, SHARDED, resume=True)
    require_same(checkpoint(run), checkpoint(alone("train.batch_size=8")))


def test_shares_go_on_bit_for_bit(launched: Launched) -> None:
    """By as many processes as before."""
    stopped, straight = (checkpoint(launched.run(name)) for name in ("shares, stopped", "shares"))
    assert stopped.header.digests == straight.header.digests


def test_snapshots_of_shares(launched: Launched, alone: Callable[..., RunFolder]) -> None:
    """Whole files, each, as one process writes them."""
    ours, theirs = launched.run("shares").snapshots, alone("train.batch_size=8").snapshots
    assert sorted(path.name for path in ours.iterdir()) == sorted(path.name for path in theirs.iterdir())
    for step in (6, 12, 18, 20):
        own, other = (folder / f"step-{step:08}.safetensors" for folder in (ours, theirs))
        require_same(open_checkpoint(own), open_checkpoint(other))


@pytest.mark.parametrize(
    ("name", "error", "code"),
    [
        ("wrong shape", "DataError: example 5: its picture has shape", 2),
        ("not a number", "NonFiniteLossError: step ", 3),
        ("no such run", "RunError: ", 2),
        ("few examples", "ConfigError: train.batch_size: 1 examples cannot be divided among 2 processes", 2),
        ("shares, fp16", "ConfigError: train.precision: fp16 needs loss scaling", 2),
    ],
)
def test_one_of_them_tells(*, launched: Launched, name: str, error: str, code: int) -> None:
    """An error in any process ends all of them, and is told once."""
    told = sorted(launched.met[name], key=lambda met: met.startswith("EndedElsewhere"))
    assert told[0].startswith(error)
    assert told[1] == f"EndedElsewhere: {code}"
