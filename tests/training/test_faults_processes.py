"""Runs of several processes under kills and signals. Oracle: the run never disturbed, and the run of one process.

The processes are real, and talk through gloo; they are forked from this one, so that torch is there at once.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from accelerate import PartialState

from diffloom.cli import main
from diffloom.training.run_folder import RunFolder
from diffloom.verification.session import Session

Outcome = Callable[[Path], dict[str, Any]]
PATIENCE_SECONDS = 180
SLOW = "data.seconds_each=0.02"
STEADY = ("backbone=parts/steady", "train.steps=24")


@dataclass
class Begun:
    """A process at work."""

    pid: int
    log: Path

    def wait(self) -> int:
        """Its exit code; −9 for one that was killed."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    @property
    def told(self) -> str:
        return self.log.read_text()


def begin(works: Sequence[Callable[[], None]], folder: Path) -> list[Begun]:
    """One run's processes, each with work of its own, as `srun` would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    begun = []
    for number, work in enumerate(works):
        log = folder / f"{time.monotonic_ns()}.{number}.log"
        log.touch()
        pid = os.fork()
        if pid == 0:
            launched = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": len(works), "MASTER_PORT": port}
            if len(works) > 1:
                os.environ.update(
                    {key: str(value) for key, value in launched.items()}, MASTER_ADDR="127.0.0.1"
                )
            PartialState._reset_state()  # what a test before has left in this process
            os.dup2(os.open(log, os.O_WRONLY), 2)
            sys.stderr = os.fdopen(2, "w", buffering=1)
            os._exit(code_of(work))
        begun.append(Begun(pid, log))
    return begun


def code_of(work: Callable[[], None]) -> int:
    """What a shell is told of it."""
    try:
        work()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


class Command:
    """`diffloom train` of the tiny model."""

    def __init__(self, tiny: Path, parts: Path, logs: Path) -> None:
        self.words = ("train", str(tiny), "-p", str(parts), "--device", "cpu", "--requeue", *STEADY)
        self.logs = logs

    def begin(self, folder: Path, *overrides: str, processes: int = 2) -> list[Begun]:
        """Start a run's processes."""

        def work() -> None:
            sys.argv = ["diffloom", *self.words, "-o", str(folder), *overrides]
            main()

        return begin([work] * processes, self.logs)

    def run(self, folder: Path, *overrides: str, processes: int = 2) -> None:
        """A run to its end."""
        for process in self.begin(folder, *overrides, processes=processes):
            assert process.wait() == 0, process.told


@pytest.fixture
def command(tiny: Path, parts: Path, tmp_path: Path) -> Command:
    return Command(tiny, parts, tmp_path / "logs")


@pytest.fixture(scope="module", autouse=True)
def warm(train_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """What training imports is imported here once, and not again in each process."""
    train_tiny(tmp_path_factory.mktemp("warm") / "run", "train.steps=1")


@pytest.fixture(scope="module")
def whole(tiny: Path, parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two processes that was never disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    Command(tiny, parts, folder.parent / "logs").run(folder, SLOW)
    return folder


def wait_for_a_checkpoint(folder: Path, told: Callable[[], str]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while RunFolder(folder).latest() is None:
        assert time.monotonic() < end, told()
        time.sleep(0.01)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_is_lost(
    *, tmp_path: Path, command: Command, whole: Path, outcome: Outcome, lost: int
) -> None:
    """As when its machine goes down: the other one says what stands and ends with a scheduler's exit code."""
    folder = tmp_path / "run"
    processes = command.begin(folder, SLOW)
    wait_for_a_checkpoint(folder, lambda: processes[0].told)
    os.kill(processes[lost].pid, signal.SIGKILL)
    assert processes[lost].wait() == -signal.SIGKILL
    assert processes[1 - lost].wait() == 75
    told = processes[1 - lost].told
    assert "Traceback" not in told
    standing = RunFolder(folder).latest()
    assert (
        "error: another of this run's 2 processes is gone, and this one cannot go on alone; "
        f"the last good checkpoint is {standing}; to go on:\n"
    ) in told
    command.run(folder, SLOW)
    assert outcome(folder) == outcome(whole)


@pytest.mark.parametrize("parallel", ["data", "sharded"])
def test_a_signal_to_one_of_them(
    *, tmp_path: Path, command: Command, whole: Path, outcome: Outcome, parallel: str
) -> None:
    """All end after the same step, saved; one process then goes on where two have been, and tells so."""
    folder = tmp_path / "run"
    processes = command.begin(folder, SLOW, f"train.parallel={parallel}")
    wait_for_a_checkpoint(folder, lambda: processes[0].told)
    os.kill(processes[1].pid, signal.SIGTERM)
    assert [process.wait() for process in processes] == [75, 75], processes[0].told
    assert "interrupted after step " in processes[0].told
    assert "interrupted after step " not in processes[1].told
    command.run(folder, SLOW, f"train.parallel={parallel}")
    if parallel == "data":
        assert outcome(folder) == outcome(whole)
    assert outcome(folder)["step"] == 24


@pytest.mark.parametrize("parallel", ["data", "sharded"])
def test_the_disk_fills_up(
    *, tmp_path: Path, command: Command, whole: Path, outcome: Outcome, parallel: str
) -> None:
    """In the midst of the first checkpoint, shares included: nothing of it stays, and all end."""
    folder = tmp_path / "run"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))  # inherited; a checkpoint is larger, and a share
    try:
        processes = command.begin(folder, SLOW, f"train.parallel={parallel}")
        codes = [process.wait() for process in processes]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    told = "".join(process.told for process in processes)
    assert 75 in codes, told
    assert 0 not in codes
    assert "Traceback" not in told
    assert f"{folder}/checkpoints/step-00000007." in told
    assert "File too large" in told
    assert "no checkpoint was written yet; to go on:\n" in told
    assert list((folder / "checkpoints").iterdir()) == []
    command.run(folder, SLOW, f"train.parallel={parallel}")
    if parallel == "data":
        assert outcome(folder) == outcome(whole)


def fed(orders: Sequence[Path]) -> dict[int, list[tuple[int, str]]]:
    """Step → what its processes took together: each example's position, and a digest of what it was."""
    steps: dict[int, list[tuple[int, str]]] = {}
    for path in orders:
        for row in map(json.loads, path.read_text().splitlines()):
            steps.setdefault(row["step"], []).extend(tuple(example) for example in row["examples"])
    return {step: sorted(examples) for step, examples in steps.items()}


def test_the_same_examples_for_any_number_of_processes(tmp_path: Path, tiny: Path, parts: Path) -> None:
    """Two processes to step 7, three to step 14, one to the end, against one all along."""

    def orders(name: str, folder: str, *, processes: int, steps: int) -> list[Path]:
        def work(order: Path) -> Callable[[], None]:
            session = Session(
                file=str(tiny),
                overrides=(*STEADY, "train.workers=1", "train.sample_every=null", f"train.steps={steps}"),
                plugins=(str(parts),),
                device="cpu",
                folder=str(tmp_path / folder),
                resume=(tmp_path / folder).exists(),
                order=str(order),
                last_step=steps,
            )
            return session.run

        written = [tmp_path / f"{name}.{number}.jsonl" for number in range(processes)]
        for process in begin([work(order) for order in written], tmp_path / "logs"):
            assert process.wait() == 0, process.told
        return written

    alone = fed(orders("alone", "alone", processes=1, steps=21))
    split = [
        *orders("two", "split", processes=2, steps=7),
        *orders("three", "split", processes=3, steps=14),
        *orders("one", "split", processes=1, steps=21),
    ]
    assert fed(split) == alone
    assert [position for step in sorted(alone) for position, _ in alone[step]] == list(range(21 * 4))


def test_a_launcher_that_starts_again(
    *, tmp_path: Path, command: Command, whole: Path, outcome: Outcome
) -> None:
    """torchrun with --max-restarts, and --requeue: a killed process costs the steps since the last checkpoint."""
    folder, log = tmp_path / "run", tmp_path / "torchrun.txt"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [*launcher, "--max-restarts", "1", "-m", "diffloom", *command.words, SLOW, "-o", str(folder)]
    # torchrun's next processes would read the dead one's address in the store that they share with the last.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    with log.open("w") as errors, subprocess.Popen(words, stderr=errors, env=environment) as process:
        try:
            wait_for_a_checkpoint(folder, log.read_text)
            next(child for child in children(process.pid) if child.environ().get("RANK") == "1").kill()
            assert process.wait(timeout=PATIENCE_SECONDS) == 0, log.read_text()
        finally:
            process.terminate()
    assert outcome(folder) == outcome(whole)
    told = log.read_text().splitlines()
    gone = next(
        number for number, line in enumerate(told) if line.startswith("error: another of this run's 2")
    )
    assert shlex.split(told[gone + 1]) == words


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children()
