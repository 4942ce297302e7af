"""Asked and found: one line for each thing that was asked for, so that a reader sees at once what holds.

Where something does not, the line says what this machine was measured to allow: its bf16, or the least that an engine
must do, done by torch alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.speed.goal import Goal
from benchmarks.speed.machine import Peaks
from benchmarks.speed.rows import Asked, Row, asked_of

from diffloom.inference.compute import CLEARLY_FASTER

COLUMNS = ("work", "asked for", "found", "by the wall", "does it hold?")


def summary(rows: Sequence[Row], most: Peaks) -> str:
    """The table in Markdown, in the order of the rows; nothing where nothing was asked for."""
    by_goal: dict[Goal, list[tuple[Row, Asked]]] = {}
    for row in rows:
        for asked in asked_of(row):
            by_goal.setdefault(asked.goal, []).append((row, asked))
    if not by_goal:
        return ""
    lines = [f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"]
    for goal, held in by_goal.items():
        all_asked = [asked for _, asked in held]
        verdict = _verdict(all_asked)
        if not all(asked.holds for asked in all_asked):
            verdict += _least(goal, all_asked) + (_beside_bf16(most) if goal.by_bf16 else "")
        lines.append(f"| {goal.row} | {goal} | {_found(goal, held)} | {_by_wall(goal, held)} | {verdict} |\n")
    return "".join(lines)


def _found(goal: Goal, held: Sequence[tuple[Row, Asked]]) -> str:
    """One figure, with its spread where it is of time; of several the least, the most and the median."""
    if len(held) > 1:
        return _range(goal, [asked.found for _, asked in held])
    ((row, asked),) = held
    lower, upper = row["spread"]
    return goal.told(asked.found) + (f" ({lower:.2f}–{upper:.2f})" if goal.measure == "speed" else "")


def _by_wall(goal: Goal, held: Sequence[tuple[Row, Asked]]) -> str:
    """The same by the wall's clock, of one figure that is a ratio of times; where there are several both are alike."""
    if goal.measure not in ("speed", "time") or len(held) > 1:
        return ""
    ((row, _),) = held
    return goal.told(row["wall_ratio"] if goal.measure == "speed" else 1 / row["wall_ratio"])


def _range(goal: Goal, figures: Sequence[float]) -> str:
    return f"{goal.told(min(figures))} to {goal.told(max(figures))}, median {goal.told(median(figures))}"


def _verdict(held: Sequence[Asked]) -> str:
    """Of several how many hold; who does is in the work's own table."""
    reached = sum(asked.holds for asked in held)
    if reached < len(held):
        return f"**for {reached} of {len(held)}**" if len(held) > 1 else "**no**"
    stretched = all(asked.goal.holds(asked.found, stretch=True) for asked in held)
    return "yes, the stretch too" if stretched else "yes"


def _least(goal: Goal, held: Sequence[Asked]) -> str:
    """What the least work reaches that everybody must do; nothing where that was not measured."""
    floors = [asked.least for asked in held if asked.least is not None]
    if not floors:
        return ""
    if len(floors) == 1:
        return f"; {goal.least}: {goal.told(floors[0])}"
    can = sum(goal.holds(floor) for floor in floors)
    return f"; {goal.least}: for {can} of {len(floors)}, median {goal.told(median(floors))}"


def _beside_bf16(most: Peaks) -> str:
    """What is said where a goal was set for a fast bf16 and this machine's is not."""
    ratio = most["bf16"]["convolution"] / most["fp32"]["convolution"]
    if ratio >= CLEARLY_FASTER:
        return ""
    return f": in bf16 this processor convolves at {ratio:.2f} of float32's speed, which is taken"
