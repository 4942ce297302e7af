"""`diffloom sample` in real processes: killed, stopped by signals, several at once.

Oracle: the same command in one process that nothing disturbs. The processes are forked from this one, so that torch is
there at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from diffloom.cli import main

PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Started:
    """A command that runs in a process of its own."""

    pid: int
    output: Path

    def wait(self) -> int:
        """Its exit code; negative for the signal that ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def start(words: list[object], output: Path, environment: Mapping[str, str] | None = None) -> Started:
    pid = os.fork()
    if pid:
        return Started(pid, output)
    code = 1
    torch.set_num_threads(1)  # OpenMP's others, for which torch would wait, stayed behind
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        os.environ |= environment or {}
        sys.argv = ["diffloom", *map(str, words)]
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def images(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


@pytest.fixture(scope="module")
def words(run_folder: Path) -> list[object]:
    asked = ["--label", 3, "--label", 7, "-n", 24, "--steps", 4, "--batch-size", 2, "--device", "cpu"]
    return ["sample", run_folder, *asked]


@pytest.fixture(scope="module")
def undisturbed(words: list[object], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    started = start([*words, "-o", folder / "out"], folder / "told")
    assert started.wait() == 0, started.output.read_text()
    assert started.output.read_text() == f"{folder / 'out'}/ (24 images)\n"
    return images(folder / "out")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_the_same_command_goes_on(words, undisturbed, tmp_path: Path, number: int, code: int) -> None:
    """Every image that is there after a signal, or a kill, is whole; the first two say how many there are."""
    folder = tmp_path / "out"
    started = start([*words, "-o", folder], tmp_path / "told")
    wait_for(lambda: len(list(folder.glob("*.png"))) > 3)
    os.kill(started.pid, number)
    assert started.wait() == code, started.output.read_text()
    there = images(folder)
    assert len(there) < 24
    assert there.items() <= undisturbed.items()
    if number != signal.SIGKILL:
        told = f"{folder}: stopped after {len(there)} of 24 images; the same command goes on from there\n"
        assert started.output.read_text() == told
        assert len(there) % 2 == 0  # the batch was finished
    again = start([*words, "-o", folder], tmp_path / "told_again")
    assert again.wait() == 0, again.output.read_text()
    assert images(folder) == undisturbed
    assert sorted(path.name for path in folder.iterdir()) == [*sorted(undisturbed), "samples.json"]


@pytest.mark.parametrize("name", ["out", "samples.npz"])
def test_several_processes_share_the_images(words, undisturbed, tmp_path: Path, name: str) -> None:
    """As torchrun and `accelerate launch` start them; one of them tells that all are there."""
    target = tmp_path / name
    together = [
        start(
            [*words, "-o", target],
            tmp_path / f"told_{rank}",
            {"RANK": str(rank), "WORLD_SIZE": "3", "LOCAL_RANK": str(rank)},
        )
        for rank in range(3)
    ]
    for one in together:
        assert one.wait() == 0, one.output.read_text()
    told = [one.output.read_text() for one in together]
    slash = "/" if name == "out" else ""
    assert sorted(told) == ["", "", f"{target}{slash} (24 images)\n"]
    if name == "out":
        assert images(target) == undisturbed
    else:
        import numpy as np
        from PIL import Image

        with np.load(target) as archive:
            for row, pixels in enumerate(archive["arr_0"][..., 0]):
                (tmp_path / "one.png").write_bytes(undisturbed[f"{row:05d}.png"])
                assert np.array_equal(pixels, np.asarray(Image.open(tmp_path / "one.png")))
            assert archive["arr_1"].tolist() == [3, 7] * 12
    assert not list(tmp_path.glob(".*"))


def test_a_share_that_was_lost_is_drawn_by_those_who_come(words, undisturbed, tmp_path: Path) -> None:
    """One of two processes never began; the command repeated by one process draws what is missing, and no more."""
    environment = {"RANK": "1", "WORLD_SIZE": "2"}
    assert start([*words, "-o", tmp_path / "out"], tmp_path / "told", environment).wait() == 0
    assert sorted(images(tmp_path / "out")) == [f"{row:05d}.png" for row in range(24) if row // 2 % 2]
    assert start([*words, "-o", tmp_path / "out"], tmp_path / "told_again").wait() == 0
    assert images(tmp_path / "out") == undisturbed


def test_other_settings_are_one_clear_error(words, tmp_path: Path) -> None:
    short = [*words[:7], 2, *words[8:]]  # -n 2
    started = start([*short[:6], "-n", 2, "--steps", 1, "-o", tmp_path / "out"], tmp_path / "told")
    assert started.wait() == 0, started.output.read_text()
    other = start([*short[:6], "-n", 2, "--steps", 2, "-o", tmp_path / "out"], tmp_path / "told_other")
    assert other.wait() == 2
    assert other.output.read_text() == (
        f"error: {tmp_path / 'out'}: was begun with other settings; ask for the same ones to go on, or choose another "
        "-o\n  sampling.steps: 1 → 2\n"
    )
