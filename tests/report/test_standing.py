"""How far a run has come. Oracle: what was done to it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from diffloom.config import Resolved
from diffloom.errors import RunError
from diffloom.plugins import load_plugins
from diffloom.report.account import read_account
from diffloom.report.standing import Standing
from diffloom.training import train
from diffloom.training.environment import SessionRecord, sessions_of
from diffloom.training.loop import Loop


def standing(folder: Path) -> Standing:
    return read_account(folder, name="run").standing


@pytest.fixture
def reworded(copied: Path) -> Callable[..., Path]:
    """Changes the entry of the run's last session."""

    def change(*without: str, **entries: Any) -> Path:
        path = copied / "environment.json"
        written = json.loads(path.read_text())
        last = written["sessions"][-1] | entries
        written["sessions"][-1] = {key: value for key, value in last.items() if key not in without}
        path.write_text(json.dumps(written))
        return copied

    return change


def test_a_finished_run(run: Path) -> None:
    found = standing(run)
    assert (found.state, found.step, found.last_step) == ("finished", 12, 12)


def test_a_run_that_failed_says_why(
    tmp_path: Path, resolved: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loop, "_log", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(resolved, tmp_path / "run", plugins=load_plugins(), device="cpu")
    found = standing(tmp_path / "run")
    assert (found.state, found.step) == ("failed", 1)
    assert found.text.endswith(": ZeroDivisionError: division by zero")


def test_a_resumed_run_has_two_sessions(
    tmp_path: Path, resolved: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_preview", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(resolved, tmp_path / "run", plugins=load_plugins(), device="cpu")
    train(resolved, tmp_path / "run", plugins=load_plugins(), device="cpu", resume=True)
    first, second = sessions_of(tmp_path / "run")
    assert (first["reason"], first["last_step"]) == ("failed", 4)
    assert (second["reason"], second["last_step"], second["error"]) == ("finished", 12, "")
    assert standing(tmp_path / "run").state == "finished"


def test_a_session_without_an_end(reworded: Callable[..., Path]) -> None:
    ended = ("ended", "reason", "error")
    assert standing(reworded(*ended, process=os.getpid())).state == "running"
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    assert standing(reworded(*ended, process=int(gone.stdout))).state == "broken off"
    elsewhere = standing(reworded(*ended, machine={"host": f"not-{platform.node()}"}))
    assert elsewhere.state == "unknown"
    assert "has not told of an end" in elsewhere.text


def test_what_is_written_of_a_session(run: Path, resolved: Resolved) -> None:
    (session,) = sessions_of(run)
    assert session["config_digest"] == resolved.digest
    assert session["versions"]["torch"] == torch.__version__
    assert session["versions"]["python"] == platform.python_version()
    assert session["machine"]["device"] == "cpu"
    assert session["machine"]["processes"] == 1
    assert session["process"] == os.getpid()
    assert session["data"]["examples"] == 1437  # scikit-learn's 1797 digits, four fifths of them


def test_a_full_disk_at_the_end_is_told(
    copied: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = SessionRecord(copied, {"began": "now"})

    def full(path: Path, text: str) -> None:
        raise RunError(f"{path}: no space")

    monkeypatch.setattr("diffloom.training.environment.replace_text", full)
    record.end(step=3, reason="failed")
    assert [entry.getMessage() for entry in caplog.records] == [f"{copied / 'environment.json'}: no space"]


def test_a_damaged_account_is_named(copied: Path) -> None:
    (copied / "environment.json").write_text("{")
    with pytest.raises(
        RunError, match=r"environment\.json: is damaged: .*; remove it, nothing but reports needs it$"
    ):
        standing(copied)
