"""Asked and found: one line for each thing that was asked for, so that a reader sees at once what holds."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.speed.goal import Goal
from benchmarks.speed.machine import Peaks
from benchmarks.speed.rows import Row, goals_of

from diffloom.inference.compute import CLEARLY_FASTER

COLUMNS = ("work", "asked for", "found", "does it hold?")


def summary(rows: Sequence[Row], most: Peaks) -> str:
    """The table in Markdown, in the order of the rows; nothing where nothing was asked for."""
    by_goal: dict[Goal, list[tuple[Row, float]]] = {}
    for row in rows:
        for goal, found in goals_of(row):
            by_goal.setdefault(goal, []).append((row, found))
    if not by_goal:
        return ""
    lines = [f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"]
    for goal, held in by_goal.items():
        verdict = _verdict(goal, held)
        if goal.by_bf16 and not all(goal.holds(found) for _, found in held):
            verdict += _beside_bf16(most)
        lines.append(f"| {goal.row} | {goal} | {_found(goal, held)} | {verdict} |\n")
    return "".join(lines)


def _found(goal: Goal, held: Sequence[tuple[Row, float]]) -> str:
    """One figure, with its spread where it is of time; of several the least and the most."""
    figures = sorted(found for _, found in held)
    if len(held) > 1:
        return f"{goal.told(figures[0])} to {goal.told(figures[-1])}"
    ((row, found),) = held
    lower, upper = row["spread"]
    return goal.told(found) + (f" ({lower:.2f}–{upper:.2f})" if goal.measure == "speed" else "")


def _verdict(goal: Goal, held: Sequence[tuple[Row, float]]) -> str:
    missed = [row["title"].partition(":")[0] for row, found in held if not goal.holds(found)]
    if len(held) > 1 and missed:
        return f"**for {len(held) - len(missed)} of {len(held)}**; not for {'; '.join(missed)}"
    if missed:
        return "**no**"
    return "yes, the stretch too" if all(goal.holds(found, stretch=True) for _, found in held) else "yes"


def _beside_bf16(most: Peaks) -> str:
    """What is said where a goal counts on bf16 and this machine's is no faster."""
    ratio = most["bf16"]["convolution"] / most["fp32"]["convolution"]
    if ratio >= CLEARLY_FASTER:
        return ""
    return (
        f": set for processors with a fast bf16, this one convolves in it at {ratio:.2f} of float32's speed, "
        "so that float32 is taken"
    )
