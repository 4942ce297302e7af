"""The page: first what was asked for, then every figure. Oracle: Markdown written by hand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.speed.goal import Goal
from benchmarks.speed.summary import summary
from benchmarks.speed.table import page

FAST = {"fp32": {"convolution": 100.0}, "bf16": {"convolution": 220.0}}
SLOW = {"fp32": {"convolution": 100.0}, "bf16": {"convolution": 53.0}}


def row(title: str, *held: tuple[Goal, float], work: str = "train", **found: Any) -> dict[str, Any]:
    plain = {
        "work": work,
        "title": title,
        "arm": "own",
        "ratio": 1.5,
        "spread": [1.25, 1.75],
        "seconds": 0.5,
        "wall_seconds": 0.25,
        "difference": None,
        "peak_mib": None,
        "share": None,
        "kernels": [],
    }
    goals = [asdict(goal) | {"found": figure} for goal, figure in held]
    return plain | {"goals": goals} | found


def lines(table: str) -> list[str]:
    """Without its head."""
    return table.splitlines()[2:]


def test_a_line_says_what_was_asked_found_and_holds() -> None:
    rows = [
        row("step", (Goal("step", "speed", 1.12, 1.25), 1.5)),
        row("step", (Goal("step, twice", "speed", 2.0), 1.5), (Goal("step, twice", "memory", 0.5), 0.25)),
        row("build", (Goal("build", "seconds", 0.3, beyond="torch alone"), 0.85)),
    ]
    assert lines(summary(rows, FAST)) == [
        "| step | ≥ 1.12× (stretch 1.25×) | 1.5× (1.25–1.75) | yes, the stretch too |",
        "| step, twice | ≥ 2× | 1.5× (1.25–1.75) | **no** |",
        "| step, twice | memory ≤ 0.5× | memory 0.25× | yes |",
        "| build | ≤ 0.3 s over torch alone | 0.85 s | **no** |",
    ]


def test_equal_goals_are_one_line_that_names_those_who_miss() -> None:
    goal = Goal("arithmetic", "speed", 8.0)
    some = [
        row(f"{name}: a step", (goal, found)) for name, found in (("a", 9), ("b", 2), ("c", 11), ("d", 7))
    ]
    assert lines(summary(some, FAST)) == ["| arithmetic | ≥ 8× | 2× to 11× | **for 2 of 4**; not for b; d |"]
    assert lines(summary(some[::2], FAST)) == ["| arithmetic | ≥ 8× | 9× to 11× | yes |"]


def test_what_counts_on_a_fast_bf16_says_so_where_there_is_none() -> None:
    goal = Goal("default", "speed", 2.0, by_bf16=True)
    (missed,) = lines(summary([row("step", (goal, 1.4))], SLOW))
    assert "**no**: set for processors with a fast bf16" in missed
    assert "0.53 of float32's speed" in missed
    for rows, most in (([row("step", (goal, 2.4))], SLOW), ([row("step", (goal, 1.4))], FAST)):
        assert "bf16" not in summary(rows, most)


def test_nothing_is_shown_where_nothing_was_asked() -> None:
    assert summary([row("step")], FAST) == ""


def test_the_page_begins_with_what_was_asked_for(tmp_path: Path) -> None:
    section = tmp_path / "scaling" / "RESULTS.md"
    section.parent.mkdir()
    section.write_text("## How cost grows\n\n![plot](plot.png)\n", encoding="utf-8")
    rows = [
        row("attention alone", work="attention"),
        row("a step", (Goal("step", "speed", 1.0), 1.5), kernels=[["conv", 0.75], ["norm", 0.125]]),
        row("a step", arm="another"),
    ]
    text = page({"a machine": {"peaks": SLOW, "rows": rows}}, section)
    places = [
        text.index(words)
        for words in (
            "## a machine",
            "fp32: convolution 100 GFLOP/s; bf16: convolution 53 GFLOP/s",
            "### What was asked for",
            "### Every figure",
            "#### `make bench WORK=train`",
            "A step:",
            "#### `make bench WORK=attention`",
            "### Where the time goes",
            "## How cost grows",
            "(scaling/plot.png)",
        )
    ]
    assert places == sorted(places)
    assert text.count("A step:") == 1, "arms of one title stand in one table"
    assert "| own | 1.50 (1.25–1.75) | 0.5 | 0.25 |  |  |  | ≥ 1× |" in text
    assert "| a step | own | `conv` 75%, `norm` 12% |" in text
