"""What a run shows: a bar on a terminal, two lines elsewhere, nothing to Python users."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from diffloom import config
from diffloom.plugins import Plugins
from diffloom.training import train
from diffloom.training.progress import for_terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(
    tmp_path: Path, tiny: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    resolved = config.load(tiny, registry=plugins.registry)
    train(resolved, tmp_path / "run", plugins=plugins, device="cpu", progress=for_terminal())
    shown = screen.getvalue()
    assert "20/20" in shown
    assert "images/s" in shown
    assert "loss 1." in shown or "loss 0." in shown
    assert "finished after step 20" in shown


def test_elsewhere_two_lines(
    tmp_path: Path, tiny: Path, plugins: Plugins, capsys: pytest.CaptureFixture[str]
) -> None:
    resolved, run = config.load(tiny, registry=plugins.registry), tmp_path / "run"
    train(resolved, run, plugins=plugins, device="cpu", progress=for_terminal())
    assert capsys.readouterr().err == f"{run}: at step 0 of 20, on cpu\n{run}: finished after step 20\n"


def test_python_users_see_nothing(
    tmp_path: Path, tiny: Path, plugins: Plugins, capfd: pytest.CaptureFixture[str]
) -> None:
    train(config.load(tiny, registry=plugins.registry), tmp_path / "run", plugins=plugins, device="cpu")
    assert capfd.readouterr() == ("", "")
