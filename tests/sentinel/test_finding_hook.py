"""Who hears of findings: the folder, observers, and the run itself where it is to stop. Oracle: an injected fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from diffloom import hookimpl
from diffloom.errors import SentinelError
from diffloom.hooks import RunInfo
from diffloom.plugins import Plugins
from diffloom.sentinel import Finding
from diffloom.training.ema import Average
from diffloom.training.findings import FindingsFile
from diffloom.training.run_folder import RunFolder

Run = Callable[..., Any]


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Averages are never updated."""
    monkeypatch.setattr(Average, "update", lambda self, step: None)


@pytest.fixture
def heard(plugins: Plugins) -> Iterator[list[tuple[Path, Finding]]]:
    """What an observer hears, behind one that raises."""
    told: list[tuple[Path, Finding]] = []

    @hookimpl
    def diffloom_finding(run: RunInfo, finding: Finding) -> None:
        told.append((run.folder, finding))

    @hookimpl(specname="diffloom_finding")
    def refuse() -> None:
        raise RuntimeError("no network")

    listener, raiser = ModuleType("listener"), ModuleType("raiser")
    listener.diffloom_finding = diffloom_finding  # type: ignore[attr-defined]
    raiser.diffloom_finding = refuse  # type: ignore[attr-defined]
    for module in (listener, raiser):
        plugins.manager.register(module, name=module.__name__)
    yield told
    for module in (listener, raiser):
        plugins.manager.unregister(module)


@pytest.mark.usefixtures("frozen")
def test_observers_hear_what_the_folder_keeps(
    run: Run, heard: list[tuple[Path, Finding]], caplog: pytest.LogCaptureFixture
) -> None:
    ran = run("train.steps=20")
    ((folder, finding),) = heard
    assert folder == ran.folder
    assert ran.findings == [{"step": 10, "cause": "ema-frozen", "text": finding.text}]
    assert (finding.step, finding.cause) == (10, "ema-frozen")
    assert [record.getMessage() for record in caplog.records if "raiser" in record.getMessage()] == [
        "plugin raiser: diffloom_finding raised RuntimeError: no network; it is not told of the rest of this run"
    ]


@pytest.mark.usefixtures("frozen")
def test_a_run_stops_where_it_is_told_to(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SentinelError, match=r"^step 10: ema-frozen: train\.ema does not follow") as caught:
        run("train.steps=20", "train.sentinel.stops=true")
    assert caught.value.exit_code == 3
    latest = RunFolder(tmp_path / "run-1").latest()
    assert latest is not None
    assert f"saved {latest}" in str(caught.value)
    assert latest.name == "step-00000010.safetensors"


def test_without_close_looks_steps_still_speak(run: Run) -> None:
    ran = run("train.lr=0.3", "train.steps=60", "train.sentinel.every=null")
    assert ran.causes == {"learning-rate-too-high"}


def test_findings_after_the_step_that_a_run_goes_on_from_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "findings.jsonl"
    file = FindingsFile(path, step=0)
    assert not path.exists()
    for step in (10, 20, 30):
        file.write(Finding(step, "ema-slow", "…"))
    FindingsFile(path, step=20).write(Finding(25, "ema-slow", "…"))
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [10, 20, 25]
