"""The laws of trackers, on a right one and on mistakes made in it."""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffloom.hooks import RunInfo
from diffloom.kinds import Tracker, Tracking


class Notebook(Tracker):
    """Writes a run into a file of its own, right or with one mistake."""

    name = "notebook"

    mistake: str = ""
    """Which."""

    def build(self, run: RunInfo) -> Tracking:
        return Notes(self.mistake, run)


class Keyed(Notebook):
    """Asks for a key."""

    name = "keyed"

    api_key: str = "0"
    """The key."""


class Notes:
    """The file."""

    def __init__(self, mistake: str, run: RunInfo) -> None:
        self.mistake, self.folder = mistake, run.folder
        self.path = run.folder / "notes.txt"
        if mistake == "cannot go on" and self.path.exists():
            raise FileExistsError(self.path)
        if mistake == "seeds the generators":
            random.seed(0)
        if mistake == "draws":
            torch.rand(1)
        if mistake == "draws in numpy":
            np.random.random()
        if mistake == "moves":
            os.chdir(run.folder)
        if mistake == "has no end":
            self.close = None  # type: ignore[assignment]

    def figures(self, step: int, row: Mapping[str, float]) -> None:
        if self.mistake == "wants numbers" and not all(map(math.isfinite, row.values())):
            raise OverflowError("no number")
        if (
            self.mistake == "wants higher steps"
            and self.path.exists()
            and f"{step} " in self.path.read_text()
        ):
            raise IndexError("a step twice")
        if self.mistake == "takes the step out":
            row.pop("step")  # type: ignore[attr-defined]
        if self.mistake == "tidies up" and (self.folder / "metrics.jsonl").exists():
            (self.folder / "metrics.jsonl").write_text("")
        with self.path.open("a") as file:
            file.write(f"{step} {json.dumps(dict(row))}\n")

    def picture(self, step: int, name: str, picture: Any) -> None:
        if self.mistake == "paints":
            picture.paste("blue", (0, 0, 2, 2))

    def finding(self, step: int, title: str, text: str) -> None: ...

    def close(self, reason: str) -> None:
        if self.mistake == "knows one end":
            assert reason == "finished"


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant that moves is brought back."""
    monkeypatch.chdir(tmp_path)


def test_a_right_tracker_passes(passes: Callable[..., None]) -> None:
    passes(Notebook)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("has no end", "tells_a_run_and_goes_on_with_it"),
        ("tidies up", "joins_a_run_that_has_begun"),
        ("seeds the generators", "leaves_the_process_as_it_is"),
        ("draws", "leaves_the_process_as_it_is"),
        ("draws in numpy", "leaves_the_process_as_it_is"),
        ("moves", "leaves_the_process_as_it_is"),
        ("takes the step out", "leaves_the_process_as_it_is"),
        ("paints", "leaves_the_process_as_it_is"),
    ],
)
def test_a_mistake_in_a_tracker_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Notebook, mistake=mistake)


@pytest.mark.parametrize("mistake", ["cannot go on", "wants numbers", "wants higher steps", "knows one end"])
def test_what_it_raises_is_a_finding(check_component: Callable[..., Any], mistake: str) -> None:
    failures = check_component(Notebook, mistake=mistake)
    assert "tells_a_run_and_goes_on_with_it" in [failure.check for failure in failures]


def test_a_field_for_a_key_is_caught(caught: Callable[..., None]) -> None:
    caught("asks_for_no_secret", Keyed)
