"""Bounds as they are written and held. Oracle: by hand."""

import pytest
from benchmarks.speed.goal import Goal


@pytest.mark.parametrize(
    ("goal", "text"),
    [
        (Goal("step", "speed", 1.12), "≥ 1.12×"),
        (Goal("step", "speed", 1.12, 1.25), "≥ 1.12× (stretch 1.25×)"),
        (Goal("step", "memory", 0.95), "memory ≤ 0.95×"),
        (Goal("step", "time", 1.05), "time ≤ 1.05×"),
        (Goal("build", "seconds", 0.3, beyond="torch alone"), "≤ 0.3 s over torch alone"),
    ],
)
def test_as_it_is_read(goal: Goal, text: str) -> None:
    assert str(goal) == text


@pytest.mark.parametrize(
    ("measure", "better", "worse"),
    [("speed", 2.0, 1.99), ("time", 2.0, 2.01), ("memory", 1.5, 2.01), ("seconds", 0.1, 2.01)],
)
def test_speed_is_at_least_and_all_else_at_most(measure: str, better: float, worse: float) -> None:
    goal = Goal("row", measure, 2.0)
    assert goal.holds(better)
    assert not goal.holds(worse)


def test_a_stretch_is_held_where_there_is_one() -> None:
    assert Goal("row", "speed", 1.0, 2.0).holds(2.0, stretch=True)
    assert not Goal("row", "speed", 1.0, 2.0).holds(1.9, stretch=True)
    assert not Goal("row", "speed", 1.0).holds(9.0, stretch=True)
