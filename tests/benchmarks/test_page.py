"""The page: first what was asked for, then every figure. Oracle: Markdown written by hand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from benchmarks.speed.goal import Goal
from benchmarks.speed.summary import summary
from benchmarks.speed.table import duration, page

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
        "wall_ratio": 1.75,
        "difference": None,
        "peak_mib": None,
        "share": None,
        "kernels": [],
    }
    floors = found.pop("least", [None] * len(held))
    goals = [
        asdict(goal) | {"found": figure, "found_least": floor}
        for (goal, figure), floor in zip(held, floors, strict=True)
    ]
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
        "| step | ≥ 1.12× (stretch 1.25×) | 1.5× (1.25–1.75) | 1.75× | yes, the stretch too |",
        "| step, twice | ≥ 2× | 1.5× (1.25–1.75) | 1.75× | **no** |",
        "| step, twice | memory ≤ 0.5× | memory 0.25× |  | yes |",
        "| build | ≤ 0.3 s over torch alone | 0.85 s |  | **no** |",
    ]


def test_equal_goals_are_one_line_that_counts_those_who_hold() -> None:
    goal = Goal("arithmetic", "speed", 8.0)
    some = [
        row(f"{name}: a step", (goal, found)) for name, found in (("a", 9), ("b", 2), ("c", 11), ("d", 7))
    ]
    assert lines(summary(some, FAST)) == [
        "| arithmetic | ≥ 8× | 2× to 11×, median 8× |  | **for 2 of 4** |",
    ]
    assert lines(summary(some[::2], FAST)) == ["| arithmetic | ≥ 8× | 9× to 11×, median 10× |  | yes |"]


def test_what_is_missed_names_the_least_that_was_measured() -> None:
    built = Goal("build", "seconds", 0.3, beyond="torch alone", least="the numbers alone")
    many = Goal("arithmetic", "speed", 8.0, least="its passes alone")
    rows = [
        row("build", (built, 0.5), least=[0.25]),
        *(row(f"{found}", (many, found), least=[floor]) for found, floor in ((9, 20), (2, 5), (6, 12))),
    ]
    assert lines(summary(rows, FAST)) == [
        "| build | ≤ 0.3 s over torch alone | 0.5 s |  | **no**; the numbers alone: 0.25 s |",
        "| arithmetic | ≥ 8× | 2× to 9×, median 6× |  | **for 1 of 3**; its passes alone: for 2 of 3, median 12× |",
    ]
    held = [row("build", (built, 0.2), least=[0.25])]
    assert "numbers alone" not in summary(held, FAST)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (12.34, "12.3 s"),
        (1.0, "1 s"),
        (0.99961, "1 s"),
        (0.0345, "34.5 ms"),
        (0.00099951, "1 ms"),
        (19.5e-6, "19.5 µs"),
    ],
)
def test_durations_have_three_figures_and_a_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_work_that_there_is_no_more_stays_on_the_page(tmp_path: Path) -> None:
    rows = [row("of old", work="a work of old"), row("a step")]
    text = page({"a machine": {"peaks": FAST, "rows": rows}}, tmp_path / "none")
    assert text.index("WORK=train") < text.index("WORK=a work of old")


def test_what_counts_on_a_fast_bf16_says_so_where_there_is_none() -> None:
    goal = Goal("default", "speed", 2.0, by_bf16=True)
    (missed,) = lines(summary([row("step", (goal, 1.4))], SLOW))
    assert "**no**: in bf16 this processor convolves at 0.53 of float32's speed" in missed
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
            "| **A step** |",
            "#### `make bench WORK=attention`",
            "### Where the time goes",
            "## How cost grows",
            "(scaling/plot.png)",
        )
    ]
    assert places == sorted(places)
    assert text.count("A step**") == 1, "arms of one title stand together"
    assert "| own | 1.50 (1.25–1.75) | 1.75 | 500 ms | 250 ms |  |  |  | ≥ 1× |" in text
    assert "| a step | own | `conv` 75%, `norm` 12% |" in text
