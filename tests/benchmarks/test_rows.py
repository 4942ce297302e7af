"""Figures as they are kept, and what was asked of them. Oracle: by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.goal import Goal
from benchmarks.speed.measure import Figures
from benchmarks.speed.rows import goals_of, kept, renewed

MOST = {
    "fp32": {"convolution": 100.0, "product": 200.0},
    "bf16": {"convolution": 400.0, "product": 50.0},
}


def figures(arm: str, **found: Any) -> Figures:
    plain = {
        "ratio": 1.0,
        "spread": (1.0, 1.0),
        "rounds": 5,
        "seconds": 1.0,
        "wall_seconds": 1.0,
        "gflop": None,
        "difference": 0.0,
        "peak_mib": None,
    }
    return Figures(arm=arm, **(plain | found))


def arm(name: str, *goals: Goal, **options: Any) -> Arm:
    return Arm(name, lambda: None, goals, **options)


def test_each_goal_is_given_the_figure_that_it_bounds() -> None:
    goals = [
        Goal("a", "speed", 1.1),
        Goal("a", "time", 1.05),
        Goal("a", "memory", 0.5),
        Goal("a", "seconds", 0.3),
        Goal("a", "seconds", 0.3, beyond="bare"),
    ]
    case = Case("work", arm("peer"), [arm("own", *goals), arm("bare")])
    found = [
        figures("peer", seconds=4.0, peak_mib=100.0),
        figures("own", ratio=4.0, seconds=1.0, peak_mib=25.0),
        figures("bare", seconds=0.75),
    ]
    own = kept(case, "train", found, MOST)[1]
    assert goals_of(own) == list(zip(goals, [4.0, 0.25, 0.25, 1.0, 0.25], strict=True))


def test_what_the_system_does_not_say_is_judged_by_nobody() -> None:
    case = Case("work", arm("peer"), [arm("own", Goal("a", "memory", 0.5))])
    assert goals_of(kept(case, "train", [figures("peer"), figures("own")], MOST)[1]) == []


def test_a_share_is_that_of_the_greater_peak_of_the_type() -> None:
    case = Case("work", arm("peer"), [arm("half", precision="bf16"), arm("none")])
    found = [
        figures("peer", gflop=50.0, wall_seconds=0.5),
        figures("half", gflop=50.0, wall_seconds=0.25),
        figures("none"),
    ]
    assert [row["share"] for row in kept(case, "train", found, MOST)] == [0.5, 0.5, None]


def test_only_the_work_that_was_measured_is_renewed(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    old, new = {"work": "train", "arm": "old"}, {"work": "train", "arm": "new"}
    other = {"work": "decode", "arm": "kept"}
    renewed(path, "here", MOST, "train", [old])
    renewed(path, "here", MOST, "decode", [other])
    renewed(path, "there", MOST, "train", [old])
    found = renewed(path, "here", {}, "train", [new])
    assert found["here"] == {"peaks": {}, "rows": [other, new]}
    assert found["there"] == {"peaks": MOST, "rows": [old]}
    assert json.loads(path.read_text(encoding="utf-8"))["machines"] == found


def test_a_file_of_another_form_is_begun_anew_and_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"some machine": [{"work": "train"}]}', encoding="utf-8")
    assert list(renewed(path, "here", MOST, "train", [])) == ["here"]
    assert "older form" in capsys.readouterr().out
    assert list(renewed(path, "there", MOST, "train", [])) == ["here", "there"]
    assert capsys.readouterr().out == ""
