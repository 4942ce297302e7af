"""Figures as they are kept, and what was asked of them. Oracle: by hand."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.goal import Goal
from benchmarks.speed.measure import Figures
from benchmarks.speed.rows import FORM, Asked, asked_of, kept, renewed

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
        "wall_ratio": 1.0,
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
    expected = zip(goals, [4.0, 0.25, 0.25, 1.0, 0.25], strict=True)
    assert asked_of(own) == [Asked(goal, figure) for goal, figure in expected]


def test_the_least_arm_is_judged_by_the_same_measure() -> None:
    goals = [
        Goal("a", "speed", 8, least="passes"),
        Goal("a", "seconds", 0.3, beyond="bare", least="passes"),
    ]
    case = Case("work", arm("peer"), [arm("own", *goals), arm("bare"), arm("passes")])
    found = [
        figures("peer", seconds=4.0),
        figures("own", ratio=4.0, seconds=1.0),
        figures("bare", seconds=0.25),
        figures("passes", ratio=8.0, seconds=0.5),
    ]
    own = kept(case, "train", found, MOST)[1]
    assert asked_of(own) == [Asked(goals[0], 4.0, 8.0), Asked(goals[1], 0.75, 0.25)]
    assert not any(asked.holds for asked in asked_of(own))


def test_what_the_system_does_not_say_is_judged_by_nobody() -> None:
    case = Case("work", arm("peer"), [arm("own", Goal("a", "memory", 0.5))])
    assert asked_of(kept(case, "train", [figures("peer"), figures("own")], MOST)[1]) == []


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


def test_a_file_of_another_form_is_set_aside_and_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    of_old = '{"form": 1, "machines": {"some machine": [{"work": "train"}]}}'
    path.write_text(of_old, encoding="utf-8")
    assert list(renewed(path, "here", MOST, "train", [])) == ["here"]
    assert "results.form-1.json" in capsys.readouterr().out
    assert (tmp_path / "results.form-1.json").read_text(encoding="utf-8") == of_old
    assert list(renewed(path, "there", MOST, "train", [])) == ["here", "there"]
    assert capsys.readouterr().out == ""


def test_who_renames_a_field_begins_another_form() -> None:
    """Rows that were kept before are read by these names: one that changes leaves them unread, or read as another."""
    assert FORM == 3
    assert [field.name for field in fields(Figures)] == [
        "arm",
        "ratio",
        "spread",
        "rounds",
        "seconds",
        "wall_seconds",
        "wall_ratio",
        "gflop",
        "difference",
        "peak_mib",
    ]
    required = ["row", "measure", "bound"]
    assert [field.name for field in fields(Goal) if field.default is MISSING] == required
    older = {
        "row": "a",
        "measure": "speed",
        "bound": 2.0,
        "stretch": None,
        "beyond": "",
        "by_bf16": True,
        "found": 3.0,
    }
    assert asked_of({"goals": [older]}) == [Asked(Goal("a", "speed", 2.0, by_bf16=True), 3.0)]


def test_what_is_kept_is_kept_when_writing_fails(tmp_path: Path) -> None:
    """The disk is full, or somebody stops the run: the file is the old one or the new one."""
    path = tmp_path / "results.json"
    renewed(path, "here", MOST, "train", [{"work": "train", "arm": "old"}])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        renewed(path, "here", MOST, "decode", [{"work": "decode", "arm": object()}])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
