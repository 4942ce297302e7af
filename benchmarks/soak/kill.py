"""One SIGKILL, at a moment of chance."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from diffloom.training.run_folder import RunFolder

POLL_SECONDS = 0.0005
"""A save takes some milliseconds here."""
STARTING = 0.15
"""Share of kills while the process starts: between its first instruction and its first step."""
START_SECONDS = 6.0


def kill_once(command: list[str], run: RunFolder, *, goal: int, moments: random.Random) -> str:
    """Start a run, kill it, and say in what; once it is past step `goal`, or while it starts.

    Raises RuntimeError where the run ended by itself before.
    """
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        if moments.random() < STARTING:
            time.sleep(moments.uniform(0, START_SECONDS))
            return "while starting"
        wait_until(lambda: last_step(run) >= goal, process)
        sort = moments.choice(["between", "in a save", "after a save", "in a picture"])
        if sort == "between":
            time.sleep(moments.uniform(0, 0.2))
        elif sort == "in a save":
            wait_until(lambda: any(run.checkpoints.glob(".*")), process)
            time.sleep(moments.uniform(0, 0.01))
        elif sort == "after a save":
            newest = run.latest()
            wait_until(lambda: run.latest() != newest, process)
            time.sleep(moments.uniform(0, 0.002))
        else:
            wait_until(lambda: last_step(run) % 50 == 0, process)
            time.sleep(moments.uniform(0, 0.1))
        return sort
    finally:
        process.kill()
        if process.wait() != -signal.SIGKILL:
            raise RuntimeError("the run ended before it was killed: give it more steps")


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Poll; a run that ended by itself ends the waiting too."""
    while process.poll() is None and not condition():
        time.sleep(POLL_SECONDS)


def last_step(run: RunFolder) -> int:
    """The step of the last row that is there."""
    return row_step(tail(run.metrics))


def tail(path: Path) -> bytes:
    """The last whole line; empty where there is none."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().split(b"\n")
    return lines[-2] if len(lines) > 1 else b""


def row_step(line: bytes) -> int:
    """The step that a row of metrics is of; rows begin with it."""
    return int(line.split(b",")[0].split(b":")[1]) if line else 0
