"""The run folder: what is refused, what is left, who may write. Messages are the whole of what a user sees."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import diffloom
from diffloom.checkpoint import read_header
from diffloom.errors import CheckpointError, RunError
from diffloom.training import Trained
from diffloom.training.run_folder import RunFolder, checkpoint_of, step_of

TrainTiny = Callable[..., Trained]


def test_what_a_run_leaves(tmp_path: Path, train_tiny: TrainTiny, tiny: Path, parts: Path) -> None:
    folder = tmp_path / "deep" / "run"
    trained = train_tiny(folder, "train.lr=2e-2")
    assert trained.folder == folder
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        ".lock",
        "checkpoints/step-00000014.safetensors",
        "checkpoints/step-00000020.safetensors",
        "config.resolved.yaml",
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "samples/step-00000010.png",
        "samples/step-00000020.png",
    ]
    assert (folder / "config.yaml").read_text() == tiny.read_text()
    resolved = (folder / "config.resolved.yaml").read_text()
    assert "lr: 0.02\n" in resolved
    assert "classes: [class-0, class-1]\n" in resolved  # learned from the data
    assert read_header(trained.checkpoint).config == resolved
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [3, 6, 9, 12, 15, 18, 20]
    assert [row["lr"] for row in rows] == pytest.approx([0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02])
    always = {"step", "loss", "grad_norm", "lr", "images_per_second", "data_wait", "seconds"}
    assert all(row.keys() >= always for row in rows)
    pipe = diffloom.load(folder, plugins=(str(parts),), device="cpu")
    assert pipe.weights_digest == read_header(trained.checkpoint).digests["ema"]
    assert pipe.sample(label="class-1", steps=2).tensor.shape == (1, 1, 4, 4)


def test_existing_folder(tmp_path: Path, train_tiny: TrainTiny) -> None:
    (tmp_path / "empty").mkdir()
    train_tiny(tmp_path / "empty", "train.steps=5")
    with pytest.raises(RunError) as again:
        train_tiny(tmp_path / "empty")
    assert (
        str(again.value)
        == f"{tmp_path / 'empty'}: exists already; pass --resume to go on, or choose another -o"
    )
    (tmp_path / "home" / "pictures").mkdir(parents=True)
    with pytest.raises(RunError) as strange:
        train_tiny(tmp_path / "home", resume=True)
    assert str(strange.value) == (
        f"{tmp_path / 'home'}: is no run folder (it has no config.resolved.yaml); choose another -o"
    )
    with pytest.raises(RunError) as absent:
        train_tiny(tmp_path / "absent", resume=True)
    assert str(absent.value) == (
        f"{tmp_path / 'absent'}: there is no run to resume; leave out --resume to begin one"
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as file:
        train_tiny(tmp_path / "file")
    assert str(file.value) == f"{tmp_path / 'file'}: is a file; choose another run folder with -o"
    assert not (tmp_path / "absent").exists()


def test_a_run_killed_at_birth_begins_again(tmp_path: Path, train_tiny: TrainTiny) -> None:
    for name, resume in (("a", False), ("b", True)):
        folder = tmp_path / name
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "config.yaml").write_text("half")
        (folder / ".config.resolved.yaml.replacement").write_text("half")
        assert train_tiny(folder, "train.steps=5", resume=resume).step == 5
        assert not list(folder.glob("*.replacement"))


def test_no_permission(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """Places where neither root nor a user can make a folder."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "run", Path("/proc/diffloom/run")):
        with pytest.raises(RunError) as caught:
            train_tiny(folder)
        assert str(caught.value).startswith(f"{folder}: cannot be made: ")
        assert str(caught.value).endswith("; choose another with -o")


def test_one_process_at_a_time(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """Oracle: the kernel's lock, held by another real process and released when that is killed."""
    train_tiny(tmp_path / "run", "train.steps=5")
    code = (
        "import sys, time; from pathlib import Path; from diffloom.training.lock import FolderLock; "
        "lock = FolderLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "run"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError) as caught:
            train_tiny(tmp_path / "run", "train.steps=6", resume=True)
        assert str(caught.value) == (
            f"{tmp_path / 'run'}: another process (id {other.pid}) is at work in it; "
            "wait for it, or choose another -o"
        )
    finally:
        other.kill()
        other.wait()
    assert train_tiny(tmp_path / "run", "train.steps=6", resume=True).step == 6


HALF_WRITTEN = (
    ".config.yaml.replacement",
    ".config.resolved.yaml.replacement",
    ".metrics.jsonl.replacement",
    "checkpoints/.unfinished-step-00000007.safetensors-1/.tmpAbc",
    "checkpoints/.unfinished-step-00000007.safetensors-1/step-00000007.safetensors",
    "checkpoints/.unfinished-step-00000014.sharded/shard-00001-model-00001-of-00001.safetensors",
    "samples/.step-00000010.png.1.tmp",
    "snapshots/.unfinished-step-00000007.safetensors-1/.tmpAbc",
)


def test_leftovers_are_removed(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """Whatever a kill cut in half, and nothing that is whole, be it ever so strange."""
    folder = train_tiny(tmp_path / "run", "train.steps=5").folder
    whole = {path: path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}
    mine = [
        folder / "notes.txt",
        folder / ".hidden",
        folder / "samples" / "best.png",
        folder / "samples" / "a.tmp",
    ]
    for path in (*mine, *(folder / name for name in HALF_WRITTEN)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    RunFolder(folder).remove_leftovers()
    assert {path for path in folder.rglob("*") if path.is_file()} == {*whole, *mine, folder / ".lock"}
    assert all(path.read_bytes() == before for path, before in whole.items())
    assert train_tiny(folder, "train.steps=6", resume=True).step == 6


@given(
    saved=st.sets(st.integers(1, 10**9), max_size=12),
    keep=st.integers(1, 5),
    every=st.none() | st.integers(1, 10),
)
def test_which_checkpoints_stay(
    tmp_path_factory: pytest.TempPathFactory, saved: set[int], keep: int, every: int | None
) -> None:
    """The law: the newest few, and the multiples; the newest of all in any case."""
    run = RunFolder(tmp_path_factory.mktemp("run"))
    run.checkpoints.mkdir()
    for step in saved:
        if step % 3:
            run.checkpoint(step).touch()
        else:  # in the shares of several processes
            run.checkpoint(step, in_shares=True).mkdir()
            (run.checkpoint(step, in_shares=True) / "shard-00001-model-00001-of-00001.safetensors").touch()
    run.prune(keep=keep, every=every)
    left = {step_of(path) for path in run.saved()}
    assert left == {
        step
        for step in saved
        if sum(other > step for other in saved) < keep or (every is not None and step % every == 0)
    }
    run.prune(keep=keep, every=every)
    assert {step_of(path) for path in run.saved()} == left
    assert (run.latest() is None) == (not saved)
    assert {path.name for path in run.checkpoints.iterdir()} == {path.name for path in run.saved()}


def test_every_fourth_stays(tmp_path: Path, train_tiny: TrainTiny) -> None:
    few = ("train.checkpoint_every=2", "train.keep_checkpoints=1", "train.keep_every=4", "train.steps=9")
    folder = train_tiny(tmp_path / "run", *few).folder
    assert [step_of(path) for path in RunFolder(folder).saved()] == [4, 8, 9]


def test_only_the_newest_checkpoints_stay(tmp_path: Path, train_tiny: TrainTiny) -> None:
    folder = train_tiny(
        tmp_path / "run", "train.checkpoint_every=2", "train.keep_checkpoints=3", "train.steps=9"
    ).folder
    assert [path.name for path in RunFolder(folder).saved()] == [
        "step-00000006.safetensors",
        "step-00000008.safetensors",
        "step-00000009.safetensors",
    ]


def test_checkpoint_of(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    with pytest.raises(CheckpointError) as caught:
        checkpoint_of(run.path)
    assert str(caught.value) == (
        f"{run.path}: has no checkpoints yet; train the model first, or name another folder"
    )
    for step in (5, 123_456_789, 99):
        run.checkpoint(step).touch()
    (run.checkpoints / "step-best.safetensors").touch()
    assert checkpoint_of(run.path) == run.checkpoints / "step-123456789.safetensors"
    assert checkpoint_of(run.checkpoint(5)) == run.checkpoint(5)


def test_damage_is_named_when_resuming(tmp_path: Path, train_tiny: TrainTiny) -> None:
    trained = train_tiny(tmp_path / "run", "train.steps=9")
    text = bytearray(trained.checkpoint.read_bytes())
    text[-1] ^= 1
    trained.checkpoint.write_bytes(text)
    with pytest.raises(
        CheckpointError, match=r"step-00000009.*does not match its digest.*an earlier checkpoint"
    ):
        train_tiny(tmp_path / "run", "train.steps=12", resume=True)
    trained.checkpoint.unlink()
    assert train_tiny(tmp_path / "run", "train.steps=12", resume=True).step == 12


def test_optimiser_of_other_weights(
    tmp_path: Path, train_tiny: TrainTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffloom.training import state

    with monkeypatch.context() as patch:
        patch.setattr(
            state, "optimizer_tensors", lambda *_: {"backbone.gone/exp_avg": __import__("torch").zeros(1)}
        )
        trained = train_tiny(tmp_path / "run", "train.steps=5")
    with pytest.raises(CheckpointError) as caught:
        train_tiny(tmp_path / "run", "train.steps=6", resume=True)
    assert str(caught.value) == (
        f"{trained.checkpoint}: its optimiser state is for 'backbone.gone', which this model does not train"
    )


def test_the_command(tiny: Path, parts: Path, tmp_path: Path, launch: Any) -> None:
    from diffloom.cli.train import default_folder

    assert default_folder("configs/digits.yaml") == Path("runs/digits")
    assert default_folder("diffloom:digits") == Path("runs/digits")
    process = launch("train", str(tiny), "-p", str(parts), "-o", str(tmp_path / "run"), "--device", "nowhere")
    assert process.wait() == 2
    assert process.errors.read_text().startswith("error: device 'nowhere' cannot be used here: ")
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine.txt").write_text("")
    process = launch("train", str(tiny), "-p", str(parts), "-o", str(tmp_path), "--device", "cpu")
    assert process.wait() == 2
    told = f"error: {tmp_path}: exists already; pass --resume to go on, or choose another -o\n"
    assert process.errors.read_text() == told
