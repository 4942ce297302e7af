"""`diffloom train` as a scheduler runs it. Oracles: the files a run leaves; the operating system's own processes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from diffloom.cli.going_on import GoingOn

Invoke = Callable[..., Result]
DIGITS = (
    "backbone.channels=[8,16]",
    "backbone.head_channels=8",
    "train.batch_size=4",
    "train.lr_schedule.warmup_steps=2",
    "train.checkpoint_every=2",
    "train.sample_every=null",
    "--device",
    "cpu",
)


def test_requeue(invoke: Invoke, tmp_path: Path) -> None:
    """The same command three times: it begins, it goes on, it has nothing to do."""
    folder = tmp_path / "run"
    words = ("train", "diffloom:digits", "--requeue", "-o", folder, *DIGITS)
    begun = invoke(*words, "train.steps=3")
    assert begun.exit_code == 0
    assert "at step 0 of 3" in begun.stderr
    gone_on = invoke(*words, "train.steps=5")
    assert gone_on.exit_code == 0
    assert "at step 3 of 5" in gone_on.stderr
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = invoke(*words, "train.steps=5")
    assert done.exit_code == 0
    assert done.stderr == f"{folder}: finished already, after step 5: nothing is left to do\n"
    assert done.stdout == f"{folder}\n"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"} == {
        path: time for path, time in written.items() if path.name != ".lock"
    }


def test_requeue_of_another_configuration(invoke: Invoke, tmp_path: Path) -> None:
    """A finished run is no excuse for a file that says something else."""
    words = ("train", "diffloom:digits", "--requeue", "-o", tmp_path / "run", *DIGITS, "train.steps=2")
    assert invoke(*words).exit_code == 0
    other = invoke(*words, "train.lr=1")
    assert other.exit_code == 2
    assert "train.lr: 0.002 → 1.0" in other.stderr


def test_requeue_in_a_folder_of_other_things(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    done = invoke("train", "diffloom:digits", "--requeue", "-o", tmp_path)
    assert done.exit_code == 2
    assert "is no run folder" in done.stderr


def test_resume_or_requeue(invoke: Invoke) -> None:
    done = invoke("train", "diffloom:digits", "--resume", "--requeue")
    assert done.exit_code == 2
    assert done.stderr == (
        "error: --resume wants a run to go on with, and --requeue also begins one: give one of them\n"
    )


def test_the_help_names_the_exit_codes(invoke: Invoke) -> None:
    told = " ".join(invoke("train", "--help").stdout.split())
    assert "0 the run is finished; 2 a mistake to mend; 3 training itself failed; 130 Ctrl-C; 75" in told


GOING_ON = {
    "file": "my file.yaml",
    "overrides": ("train.steps=9", "data.several=[1, 2]"),
    "folder": Path("runs/a b"),
    "plugins": ("part.py",),
    "device": "cpu",
}


def test_the_command_that_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.chdir(tmp_path)
    words = "diffloom train 'my file.yaml' -o 'runs/a b' -p part.py --device cpu {}train.steps=9 'data.several=[1, 2]'"
    assert str(GoingOn(**GOING_ON, requeue=False)) == words.format("")  # there is nothing to resume
    assert str(GoingOn(**GOING_ON, requeue=True)) == words.format("--requeue ")
    Path("runs/a b").mkdir(parents=True)
    assert str(GoingOn(**GOING_ON, requeue=False)) == words.format("--resume ")


@pytest.mark.parametrize(("requeue", "added"), [(False, ["--resume"]), (True, [])])
def test_a_launchers_command(tmp_path: Path, *, requeue: bool, added: list[str]) -> None:
    """In a process that a launcher started it is the launcher's: here that of a real parent with words of its own."""
    folder = f"Path({str(tmp_path)!r})"
    going_on = f"GoingOn(file='f', overrides=(), folder={folder}, plugins=(), device=None, requeue={requeue})"
    child = f"from pathlib import Path; from diffloom.cli.going_on import GoingOn; print({going_on})"
    parent = (
        "import os, subprocess, sys; "
        f"subprocess.run([sys.executable, '-c', {child!r}], env=os.environ | {{'LOCAL_RANK': '1'}}, check=True)"
    )
    option = ["--requeue"] if requeue else []
    words = [
        sys.executable,
        "-c",
        parent,
        "--nproc-per-node",
        "2",
        "-m",
        "diffloom",
        "train",
        "a b.yaml",
        *option,
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert shlex.split(done.stdout) == [*words, *added]
