"""Ctrl-C and SIGTERM, sent to real processes: the step is finished and saved, and the printed command goes on.

Oracle: the run that was never interrupted.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Launch = Callable[..., Any]
Outcome = Callable[[Path], dict[str, Any]]
SLOW = "data.seconds_each=0.01"
PATIENCE_SECONDS = 120


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def has_rows(folder: Path) -> Callable[[], bool]:
    return lambda: (folder / "metrics.jsonl").exists() and (folder / "metrics.jsonl").stat().st_size > 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)]
)
def test_first_signal_saves(
    *, tmp_path: Path, tiny: Path, parts: Path, launch: Launch, outcome: Outcome, number: int, code: int
) -> None:
    folder = tmp_path / "run"
    words = ("train", str(tiny), "-p", str(parts), SLOW, "train.steps=60", "train.checkpoint_every=1000")
    process = launch(*words, "-o", str(folder))
    wait_for(has_rows(folder))
    os.kill(process.pid, number)
    assert process.wait() == code
    (saved,) = (folder / "checkpoints").iterdir()
    step = int(saved.stem.removeprefix("step-"))
    assert 0 < step < 60
    *_, told, command = process.errors.read_text().splitlines()
    assert told == f"interrupted after step {step}; saved {saved}; to go on:"
    program, *arguments = shlex.split(command)
    assert program == "diffloom"
    again = launch(*arguments)
    assert again.wait() == 0, again.errors.read_text()
    never = launch(*words, "-o", str(tmp_path / "never"))
    assert never.wait() == 0
    assert outcome(folder) == outcome(tmp_path / "never")


def test_second_ctrl_c_stops_at_once(tmp_path: Path, tiny: Path, parts: Path, launch: Launch) -> None:
    folder = tmp_path / "run"
    words = ("train", str(tiny), "-p", str(parts), "data.seconds_each=0.4", "train.log_every=1")
    process = launch(*words, "-o", str(folder))
    wait_for(has_rows(folder))  # the next step takes a second and a half
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.3)
    sent = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert time.monotonic() - sent < 3
    *_, told, command = process.errors.read_text().splitlines()
    assert told == "stopped at once by SIGINT; what was saved stands; to go on:"
    assert command.split()[:2] == ["diffloom", "train"]
    assert "--resume" in command.split()
    assert not list((folder / "checkpoints").iterdir())


def test_terminal_ctrl_c_reaches_workers_too(
    tmp_path: Path, tiny: Path, parts: Path, outcome: Outcome
) -> None:
    """As a terminal does it: a real `python -m diffloom`, SIGINT to its whole process group, workers included."""
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "diffloom", "train", tiny, "-p", parts, "-o", folder]
    process = subprocess.Popen(
        [*command, "data.seconds_each=0.05", "train.workers=1", "train.steps=200", "train.log_every=1"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(has_rows(folder))
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert told.splitlines()[-2].startswith("interrupted after step ")
    assert outcome(folder)["step"] > 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)]
)
def test_a_signal_before_the_first_step(
    *, tmp_path: Path, tiny: Path, parts: Path, launch: Launch, number: int, code: int
) -> None:
    """While plugins are loaded: there is nothing to save, and the printed command begins the run."""
    slow = tmp_path / "slow.py"
    slow.write_text("import sys, time\nprint('loading', file=sys.stderr, flush=True)\ntime.sleep(60)\n")
    words = (
        "train",
        str(tiny),
        "-o",
        str(tmp_path / "run"),
        "-p",
        str(parts),
        "-p",
        str(slow),
        "train.steps=5",
    )
    process = launch(*words)
    wait_for(lambda: process.errors.exists() and "loading" in process.errors.read_text())
    os.kill(process.pid, number)
    assert process.wait() == code
    name = signal.Signals(number).name
    *_, told, command = process.errors.read_text().splitlines()
    assert told == f"stopped at once by {name}; what was saved stands; to go on:"
    assert shlex.split(command) == ["diffloom", *words]


def test_a_scheduler_repeats_itself(
    tmp_path: Path, tiny: Path, parts: Path, launch: Launch, outcome: Outcome
) -> None:
    """SIGUSR1, then SIGTERM again and again, as some send it: the step is finished and saved all the same."""
    folder = tmp_path / "run"
    words = ("train", str(tiny), "-p", str(parts), "data.seconds_each=0.1", "train.log_every=1")
    process = launch(*words, "-o", str(folder))
    wait_for(has_rows(folder))
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1):
        os.kill(process.pid, number)
        time.sleep(0.02)
    assert process.wait() == 75
    assert "; saved " in process.errors.read_text()
    assert outcome(folder)["step"] > 0
