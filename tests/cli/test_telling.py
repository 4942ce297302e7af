"""What the command line tells of what is logged. Oracles: the log itself; the lines on stderr of real commands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from diffloom.cli.telling import told_logs
from diffloom.inference import compute
from diffloom.inference.gains import Gains
from diffloom.nn import compilation

Invoke = Callable[..., Result]
LOGGER = logging.getLogger("diffloom")


def say() -> None:
    for _ in range(2):
        LOGGER.info("the first step is slow")
        LOGGER.warning("memory does not suffice for %d", 7)
        LOGGER.debug("a part moves")


def test_each_line_once_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning says that it is one. Afterwards the log is as it was."""
    before = (list(LOGGER.handlers), LOGGER.level)
    with told_logs():
        say()
    assert (list(LOGGER.handlers), LOGGER.level) == before
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["the first step is slow", "warning: memory does not suffice for 7"]


def test_of_several_processes_the_first_tells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """But a warning is that of the process it comes from."""
    monkeypatch.setenv("RANK", "1")
    with told_logs():
        say()
    assert capsys.readouterr().err.splitlines() == ["warning: memory does not suffice for 7"]


@pytest.fixture
def sampled(run_folder: Path, tmp_path: Path, invoke: Invoke) -> Callable[..., list[str]]:
    """(words of `diffloom sample`) → the lines on stderr; two batches, so that a line might come twice."""

    def sample(*words: str) -> list[str]:
        path = tmp_path / "drawn.png"
        drawn = invoke(
            *(
                "sample",
                run_folder,
                "-n",
                2,
                "--batch-size",
                1,
                "--steps",
                2,
                "-o",
                path,
                "--device",
                "cpu",
                *words,
            )
        )
        assert drawn.exit_code == 0, drawn.output
        assert drawn.stdout == f"{path}\n"
        return drawn.stderr.splitlines()

    return sample


def test_nothing_is_told_where_all_is_as_ever(sampled: Callable[..., list[str]]) -> None:
    assert sampled() == []


def test_offload_on_a_cpu(sampled: Callable[..., list[str]]) -> None:
    assert sampled("--offload") == [
        "offload: the weights are in the CPU's own memory already, so nothing is moved"
    ]


def test_what_auto_is(sampled: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "gains", lambda device, threads: Gains(convolution=2.0, product=2.0))
    monkeypatch.setattr(compute, "LARGE", 1)
    assert sampled() == ["sampling.precision: auto is bf16 for this network on this device; fp32 is exact"]
    assert sampled("--precision", "bf16") == []


def test_compilation_that_cannot_be(
    sampled: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "compiler_fault", lambda device, backend: "no compiler is here")
    (line,) = sampled("--compile")
    assert line.startswith("warning: sampling.compile: ")
    assert line.endswith("no compiler is here")
