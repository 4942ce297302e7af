"""Full disks and killed readers: what was saved stands, the message says so, the exit code is a scheduler's.

Oracles: the kernel's limit on the size of a file, which stands for the full disk; SIGKILL; the run never disturbed.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from diffloom.errors import CheckpointError, LostWorkerError, RunError, StorageError
from diffloom.sentinel import Finding
from diffloom.training import Trained
from diffloom.training.faults import faults_told
from diffloom.training.findings import FindingsFile
from diffloom.training.loop import Loop
from diffloom.training.metrics import MetricsFile
from diffloom.training.run_folder import RunFolder
from diffloom.training.saving import Saving

TrainTiny = Callable[..., Trained]
Outcome = Callable[[Path], dict[str, Any]]
Launch = Callable[..., Any]
PATIENCE_SECONDS = 120
AVERAGES = (
    "train.further_ema={narrow: {type: power, sigma_rel: 0.05}, wide: {type: power, sigma_rel: 0.2}}",
    "train.snapshot_every=5",
)


@contextmanager
def no_file_larger(size: int) -> Iterator[None]:
    """While entered, a file of this process cannot grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Path:
    """The folder of a run whose disk had room."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "whole", *AVERAGES).folder


@pytest.mark.parametrize(
    ("owner", "method", "at", "file", "standing"),
    [
        (RunFolder, "write_configs", 0, "config.yaml", None),
        (MetricsFile, "write", 12, "metrics.jsonl", 7),
        (Saving, "save", 7, "checkpoints/step-00000007.safetensors", None),
        (Saving, "save", 14, "checkpoints/step-00000014.safetensors", 7),
        (Saving, "snapshot", 10, "snapshots/step-00000010.safetensors", 7),
        (Loop, "_preview", 10, "samples/step-00000010.png", 7),
        (Loop, "_preview", 20, "samples/step-00000020.png", 20),
    ],
)
def test_the_disk_fills_up(
    *,
    tmp_path: Path,
    whole: Path,
    train_tiny: TrainTiny,
    outcome: Outcome,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    method: str,
    at: int,
    file: str,
    standing: int | None,
) -> None:
    """In the midst of each sort of file that a run writes. With room again it goes on as if nothing had been."""
    folder = tmp_path / "run"
    write = getattr(owner, method)
    calls = {"write_configs": 0, "write": 3, "save": 7, "snapshot": 5, "_preview": 10}[method]
    turn = iter(range(calls, 1000, max(calls, 1)))

    def with_little_room(*args: Any, **named: Any) -> Any:
        if next(turn) < at:
            return write(*args, **named)
        size = (folder / "metrics.jsonl").stat().st_size + 20 if method == "write" else 100
        with no_file_larger(size):
            return write(*args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, with_little_room)
        with pytest.raises(StorageError) as caught:
            train_tiny(folder, *AVERAGES)
    checkpoint = folder / "checkpoints" / f"step-{standing:08}.safetensors" if standing else None
    told = f"the last good checkpoint is {checkpoint}" if checkpoint else "no checkpoint was written yet"
    assert str(caught.value).startswith(f"{folder / file}: ")
    assert str(caught.value).endswith(f"; {told}")
    assert caught.value.exit_code == 75
    assert not [path for path in folder.rglob(".*") if path.name != ".lock"]
    train_tiny(folder, *AVERAGES, resume=True)
    assert outcome(folder) == outcome(whole)
    assert snapshots(folder) == snapshots(whole)


def snapshots(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "snapshots").iterdir()}


def test_half_a_row_is_not_left_for_a_whole_one(tmp_path: Path) -> None:
    """A disk that fills up takes the beginning of a row without complaint."""
    metrics = MetricsFile(tmp_path / "metrics.jsonl", step=0)
    metrics.write({"step": 1})
    with (
        no_file_larger(20),
        pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written: File too large"),
    ):
        metrics.write({"step": 2, "loss": 0.5})
    metrics.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n{"step":'
    again = MetricsFile(tmp_path / "metrics.jsonl", step=1)
    again.write({"step": 2, "loss": 0.5})
    again.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2, "loss": 0.5}\n'


def test_findings_on_a_full_disk(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    findings = FindingsFile(run.findings, step=0)
    with (
        no_file_larger(10),
        pytest.raises(StorageError, match=r"findings\.jsonl: cannot be written"),
        faults_told(run),
    ):
        findings.write(Finding(3, "ema-frozen", "it stands still"))
    again = FindingsFile(run.findings, step=2)
    again.write(Finding(3, "ema-frozen", "it stands still"))
    (line,) = run.findings.read_text().splitlines()
    assert json.loads(line)["cause"] == "ema-frozen"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS])
def test_numbers_of_a_disk_that_is_full_or_gone(tmp_path: Path, number: int) -> None:
    failure = CheckpointError("it cannot be written")
    failure.__cause__ = OSError(number, os.strerror(number))
    with pytest.raises(StorageError) as caught, faults_told(RunFolder(tmp_path)):
        raise failure
    assert str(caught.value) == "it cannot be written; no checkpoint was written yet"


def test_what_is_no_fault_of_the_machine_stays_what_it_is(tmp_path: Path) -> None:
    for error in (
        PermissionError(errno.EACCES, "Permission denied"),
        RunError("another configuration"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        KeyboardInterrupt(),
    ):
        with pytest.raises(type(error)) as caught, faults_told(RunFolder(tmp_path)):
            raise error
        assert caught.value is error


def readers(pid: int) -> list[psutil.Process]:
    """The processes that read data for a run."""
    return [child for child in psutil.Process(pid).children() if child.is_running()]


def test_a_reader_is_killed(
    *, tmp_path: Path, tiny: Path, parts: Path, launch: Launch, outcome: Outcome, train_tiny: TrainTiny
) -> None:
    """SIGKILL to a worker of a real run: no traceback; the printed command goes on."""
    folder = tmp_path / "run"
    words = (
        "train",
        str(tiny),
        "-p",
        str(parts),
        "data.seconds_each=0.01",
        "train.steps=40",
        "train.workers=2",
    )
    process = launch(*words, "-o", str(folder))
    end = time.monotonic() + PATIENCE_SECONDS
    while RunFolder(folder).latest() is None or not readers(process.pid):
        assert time.monotonic() < end, process.errors.read_text()
        time.sleep(0.01)
    os.kill(readers(process.pid)[0].pid, signal.SIGKILL)
    assert process.wait() == 75
    *_, told, command = process.errors.read_text().splitlines()
    assert "Traceback" not in process.errors.read_text()
    assert told.startswith("error: a process that reads data is gone: DataLoader worker (pid")
    assert "fewer train.workers need less; the last good checkpoint is " in told
    assert told.endswith("; to go on:")
    again = launch(*shlex.split(command)[1:])
    assert again.wait() == 0, again.errors.read_text()
    train_tiny(tmp_path / "whole", "data.seconds_each=0.01", "train.steps=40", "train.workers=2")
    assert outcome(folder) == outcome(tmp_path / "whole")


@pytest.mark.parametrize(
    "text",
    [
        "DataLoader worker (pid 71) is killed by signal: Killed. ",
        "DataLoader worker (pid 71) is killed by signal: Bus error. It is possible that dataloader's workers are out "
        "of shared memory. Please try to raise your shared memory limit.",
        "DataLoader worker (pid(s) 71, 72) exited unexpectedly",
    ],
)
def test_how_torch_says_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(LostWorkerError) as caught, faults_told(RunFolder(tmp_path)):
        raise RuntimeError(text)
    assert text.strip() in str(caught.value)
