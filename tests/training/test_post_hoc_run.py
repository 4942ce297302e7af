"""An average that a run did not keep, made from its snapshots; averages by their names.

Oracles: the same run keeping that average; the same run unbroken.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import diffloom
from diffloom.checkpoint import Checkpoint, open_checkpoint
from diffloom.cli import diffloom as command
from diffloom.errors import CheckpointError, ConfigError, RunError
from diffloom.plugins import Plugins
from diffloom.training import saving
from diffloom.training.post_hoc import reconstruct
from diffloom.training.snapshots import Snapshots

WIDE = "{type: power, sigma_rel: 0.1}"
LAST = "{type: exponential, decay: 0.0}"
AVERAGES = ["train.ema={type: power, sigma_rel: 0.05}", f"train.further_ema={{wide: {WIDE}, last: {LAST}}}"]
STEPS, EVERY = 60, 2
TrainTiny = Callable[..., Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Path:
    """30 snapshots of two averages."""
    folder = tmp_path_factory.mktemp("post_hoc") / "run"
    train_tiny(
        folder,
        *AVERAGES,
        f"train.steps={STEPS}",
        f"train.snapshot_every={EVERY}",
        "train.checkpoint_every=1000",
        "train.sample_every=null",
    )
    return folder


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Path:
    """The same run, which keeps the average that the other is to make: what is averaged changes no weight."""
    folder = tmp_path_factory.mktemp("post_hoc") / "twin"
    kept = "{type: power, sigma_rel: 0.07}"
    train_tiny(folder, f"train.ema={kept}", f"train.steps={STEPS}", "train.sample_every=null")
    return folder


def final(folder: Path) -> Checkpoint:
    return open_checkpoint(folder / "checkpoints" / f"step-{STEPS:08d}.safetensors")


def test_snapshots_are_whole_checkpoints_of_the_power_averages(run: Path) -> None:
    saved = Snapshots(run).saved()
    assert list(saved) == list(range(EVERY, STEPS + 1, EVERY))
    last = open_checkpoint(saved[STEPS])
    whole = final(run)
    assert set(last.header.digests) == {"ema", "ema:wide", "buffers"}
    for group in ("ema", "ema:wide"):
        kept = last.group(group)
        assert kept
        assert all(torch.equal(tensor, whole.group(group)[name]) for name, tensor in kept.items())
    buffers = last.group("buffers")
    assert {name.rpartition(".")[2] for name in buffers} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    assert last.group("ema").keys() | buffers.keys() == whole.group("ema").keys()


def test_what_is_made_is_what_would_have_been_kept(
    run: Path, twin: Path, plugins: Plugins, tmp_path: Path
) -> None:
    """Their profiles differ by 0.11 %, and the averages by no larger share of how far the weights moved."""
    made = reconstruct(run, sigma_rel=0.07, registry=plugins.registry, output=tmp_path / "made.safetensors")
    assert (made.step, made.snapshots) == (STEPS, STEPS // EVERY)
    assert made.error < 2e-3
    ours, kept, main, last = (
        open_checkpoint(made.checkpoint).group("ema"),
        final(twin).group("ema"),
        final(run).group("ema"),
        final(run).group("weights"),
    )
    first = open_checkpoint(Snapshots(run).path(EVERY)).group("ema")
    assert ours.keys() == kept.keys()
    for name, tensor in kept.items():
        if name not in first:
            assert torch.equal(ours[name], tensor), f"{name} is as it was at the last step"
            continue
        moved = (last[name] - first[name]).abs().max().item()
        assert moved > 1e-2
        assert (ours[name] - tensor).abs().max().item() < 2e-3 * moved
        assert (main[name] - tensor).abs().max().item() > 5e-3 * moved, "the average that was kept is another"


def test_an_average_that_is_there_comes_back(run: Path, plugins: Plugins, tmp_path: Path) -> None:
    """σ_rel 0.1 after step 30 is in the snapshot of step 30."""
    made = reconstruct(
        run, sigma_rel=0.1, step=30, registry=plugins.registry, output=tmp_path / "made.safetensors"
    )
    snapshot = open_checkpoint(Snapshots(run).path(30)).group("ema:wide")
    came = open_checkpoint(made.checkpoint).group("ema")
    assert made.error < 1e-6
    for name, tensor in snapshot.items():
        torch.testing.assert_close(came[name], tensor, rtol=1e-6, atol=1e-7)


def test_it_samples(run: Path, twin: Path, parts: Path) -> None:
    """Pictures as from the average that was kept, to one of 255 levels of grey."""
    words = ["ema", "reconstruct", str(run), "--sigma-rel", "0.07", "-p", str(parts)]
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0, result.output
    path = run / "averages" / f"step-{STEPS:08d}-sigma-rel-0.07.safetensors"
    told, where = result.stdout.splitlines()
    assert told == "the average of width 0.07 at step 60, from 30 snapshots; its profile is off by 0.11%"
    assert where == str(path)
    pipeline = diffloom.load(path, device="cpu", plugins=[str(parts)])
    train = pipeline.document.train
    assert train is not None
    assert train.ema.model_dump() == {"sigma_rel": 0.07}, "it says what it is"
    whole = diffloom.load(twin, device="cpu", plugins=[str(parts)])
    drawn, expected = (pipe.sample(label=[0, 1], seed=0).images for pipe in (pipeline, whole))
    for mine, theirs in zip(drawn, expected, strict=True):
        assert np.abs(np.asarray(mine, dtype=int) - np.asarray(theirs, dtype=int)).max() <= 1
    with pytest.raises(CheckpointError, match=r"has no weights called 'raw'; it has ema$"):
        diffloom.load(path, weights="raw", device="cpu", plugins=[str(parts)])


def test_a_width_out_of_reach_is_warned_of(run: Path, parts: Path, tmp_path: Path) -> None:
    words = ["ema", "reconstruct", str(run), "--sigma-rel", "0.01", "-o", str(tmp_path / "x.safetensors")]
    result = CliRunner().invoke(command, [*words, "-p", str(parts)])
    assert result.exit_code == 0, result.output
    assert "warning: that is another average than the one asked for" in result.stderr


def test_mistakes(run: Path, plugins: Plugins, tmp_path: Path, train_tiny: TrainTiny) -> None:
    with pytest.raises(RunError, match=r"has no snapshot of step 33; the nearest are of 32 and 34$"):
        reconstruct(run, sigma_rel=0.1, step=33, registry=plugins.registry)
    with pytest.raises(ConfigError, match=r"sigma_rel: must be at most 0\.288, got 0\.5"):
        reconstruct(run, sigma_rel=0.5, registry=plugins.registry)
    train_tiny(tmp_path / "plain", "train.steps=2")
    with pytest.raises(
        RunError, match=r"plain: has no snapshots to make an average from; train with train\.snapshot"
    ):
        reconstruct(tmp_path / "plain", sigma_rel=0.1, registry=plugins.registry)


def test_a_killed_run_has_the_same_snapshots(
    tmp_path: Path, train_tiny: TrainTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the snapshot of a step and its checkpoint, and once inside the writing of a snapshot."""
    changes = [*AVERAGES, "train.snapshot_every=5", "train.checkpoint_every=10", "train.steps=22"]
    train_tiny(tmp_path / "straight", *changes)

    write = saving.save_checkpoint
    deaths = ["checkpoints/step-00000010", "snapshots/step-00000015"]

    def dying(path: Path, *args: Any, **options: Any) -> Any:
        if deaths and deaths[0] in str(path):
            deaths.pop(0)
            (path.parent / f".unfinished-{path.name}-1").mkdir()
            raise KeyboardInterrupt
        return write(path, *args, **options)

    monkeypatch.setattr(saving, "save_checkpoint", dying)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            train_tiny(tmp_path / "killed", *changes, resume=resume)
    train_tiny(tmp_path / "killed", *changes, resume=True)
    assert deaths == []
    straight, killed = (
        {p.name: p for p in (tmp_path / run / "snapshots").iterdir()} for run in ("straight", "killed")
    )
    assert (
        straight.keys() == killed.keys() == {f"step-{step:08d}.safetensors" for step in (5, 10, 15, 20, 22)}
    )
    for name, path in straight.items():
        one, other = open_checkpoint(path), open_checkpoint(killed[name])
        assert one.header.digests == other.header.digests
        assert one.step == other.step


@pytest.mark.parametrize(
    ("weights", "group"),
    [("ema", "ema"), ("raw", "weights"), ("wide", "ema:wide"), ("last", "ema:last")],
)
def test_every_average_is_loaded_by_its_name(run: Path, parts: Path, weights: str, group: str) -> None:
    """An average of decay 0 is the last weights."""
    pipeline = diffloom.load(run, weights=weights, device="cpu", plugins=[str(parts)])
    expected = final(run).group(group)
    state = pipeline.module.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())
    if weights == "last":
        raw = final(run).group("weights")
        assert all(torch.equal(state[name], tensor) for name, tensor in raw.items())
    backbone = diffloom.load_component(run, "backbone", weights=weights, device="cpu", plugins=[str(parts)])
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, expected[f"backbone.{name}"])


def test_a_name_that_no_average_has_is_told(run: Path, parts: Path, tmp_path: Path) -> None:
    def sample(name: str) -> Result:
        words = ["sample", str(run), "--weights", name, "-n", "1", "-o", str(tmp_path / f"{name}.png")]
        return CliRunner().invoke(command, [*words, "--label", "0", "-p", str(parts), "--device", "cpu"])

    assert sample("wide").exit_code == 0
    failed = sample("wid")
    assert isinstance(failed.exception, CheckpointError)
    assert str(failed.exception).endswith(
        "has no weights called 'wid'; did you mean 'wide'?; it has ema, raw, last, wide"
    )
