"""The command: what is measured is printed, kept and shown. Oracle: a work of its own, by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from benchmarks.speed import __main__ as command
from benchmarks.speed import machine
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.works import APART, ORDER


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The works that were asked for, each of which compares a sum with itself."""
    asked: list[str] = []

    def cases(device: torch.device) -> Iterator[Case]:
        x = torch.arange(9.0)
        yield Case("a sum", Arm("theirs", lambda: x + 1), [Arm("ours", lambda: 1 + x)], rounds=1, fewest=1)

    def work(name: str) -> SimpleNamespace:
        asked.append(name.rpartition(".")[2])
        return SimpleNamespace(cases=cases)

    peaks = {"fp32": {"convolution": 1.0}, "bf16": {"convolution": 2.0}}
    monkeypatch.setattr(command, "import_module", work)
    monkeypatch.setattr(command, "wait_passively", lambda module: None)
    for name in ("collect", "freeze"):  # of all that other tests have imported
        monkeypatch.setattr(command.gc, name, lambda: None)
    monkeypatch.setattr(command, "HERE", tmp_path / "speed")
    monkeypatch.setattr(machine, "peaks", lambda device: peaks)
    (tmp_path / "speed").mkdir()
    return asked


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks.speed", *words, "--device", "cpu"])
    command.main()


def test_one_work_is_kept_and_shown(
    monkeypatch: pytest.MonkeyPatch, measured: list[str], tmp_path: Path
) -> None:
    run(monkeypatch, "decode", "--kernels", "1")
    assert measured == ["decode"]
    ((described, found),) = json.loads((tmp_path / "speed" / "results.json").read_text())["machines"].items()
    assert [(row["work"], row["arm"], row["difference"]) for row in found["rows"]] == [
        ("decode", "theirs", 0.0),
        ("decode", "ours", 0.0),
    ]
    assert all(len(row["kernels"]) == 1 for row in found["rows"])
    assert found["peaks"] == {"fp32": {"convolution": 1.0}, "bf16": {"convolution": 2.0}}
    assert f"## {described}" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")


def test_all_are_those_that_ten_minutes_hold(
    monkeypatch: pytest.MonkeyPatch,
    measured: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(monkeypatch, "--print-only")
    assert measured == [work for work in ORDER if work not in APART]
    assert list((tmp_path / "speed").iterdir()) == []
    assert "theirs | 1.00 (1.00–1.00)" in capsys.readouterr().out


def test_who_stops_it_keeps_the_works_that_are_done(
    monkeypatch: pytest.MonkeyPatch, measured: list[str], tmp_path: Path
) -> None:
    def stopped(device: torch.device) -> Iterator[Case]:
        raise KeyboardInterrupt

    run(monkeypatch, "train")
    before = rows_by_work(tmp_path)
    quick = command.import_module

    def work(name: str) -> SimpleNamespace:
        return SimpleNamespace(cases=stopped) if name.endswith("train") else quick(name)

    monkeypatch.setattr(command, "import_module", work)
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, "decode", "train")
    after = rows_by_work(tmp_path)
    assert after.keys() == {"decode", "train"}
    assert after["train"] == before["train"]
    assert "WORK=decode" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")


def rows_by_work(folder: Path) -> dict[str, list[Any]]:
    ((_, found),) = json.loads((folder / "speed" / "results.json").read_text())["machines"].items()
    works = {row["work"] for row in found["rows"]}
    return {work: [row for row in found["rows"] if row["work"] == work] for work in works}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_gpu_that_is_not_there_is_said_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks.speed", "--device", "cuda"])
    with pytest.raises(SystemExit):
        command.main()
    assert "no NVIDIA GPU" in capsys.readouterr().err
    assert measured == []
