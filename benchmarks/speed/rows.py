"""Figures as they are kept, by machine and work: `results.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.speed.case import Arm, Case
from benchmarks.speed.goal import Goal
from benchmarks.speed.machine import Peaks
from benchmarks.speed.measure import Figures

FORM = 2
"""Of the file; one of another form is begun anew."""
Row = Mapping[str, Any]


def kept(case: Case, work: str, figures: Sequence[Figures], most: Peaks) -> list[dict[str, Any]]:
    """The rows of one case, the peer's first."""
    by_arm = {one.arm: one for one in figures}
    rows = []
    for arm in (case.peer, *case.ours):
        own = by_arm[arm.name]
        goals = [
            asdict(goal) | {"found": found}
            for goal in arm.goals
            if (found := _found(goal, own, by_arm, case.peer)) is not None
        ]
        rows.append(
            {
                "work": work,
                "title": case.title,
                "share": _share(arm, own, most),
                "goals": goals,
                **asdict(own),
            }
        )
    return rows


def _share(arm: Arm, own: Figures, most: Peaks) -> float | None:
    """Of the machine's peak; None where operations are not what the work costs."""
    return None if own.gflop is None else own.gflop / own.wall_seconds / max(most[arm.precision].values())


def _found(goal: Goal, own: Figures, by_arm: Mapping[str, Figures], peer: Arm) -> float | None:
    """The figure that a goal bounds; None where the system does not say it."""
    theirs = by_arm[peer.name]
    match goal.measure:
        case "speed":
            return own.ratio
        case "time":
            return 1 / own.ratio
        case "memory":
            return None if own.peak_mib is None or not theirs.peak_mib else own.peak_mib / theirs.peak_mib
        case "seconds":
            return own.seconds - (by_arm[goal.beyond].seconds if goal.beyond else 0)


def renewed(path: Path, machine: str, most: Peaks, work: str, rows: Sequence[Row]) -> dict[str, Any]:
    """What is kept at `path` by machine, with this one's peaks and its rows of this work in place of those before."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"form": FORM, "machines": {}}
    if before.get("form") != FORM:
        print(f"{path.name} is of an older form: begun anew")
        before = {"form": FORM, "machines": {}}
    machines: dict[str, Any] = before["machines"]
    others = [row for row in machines.get(machine, {"rows": []})["rows"] if row["work"] != work]
    machines[machine] = {"peaks": most, "rows": [*others, *rows]}
    path.write_text(json.dumps(before, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return machines


def goals_of(row: Row) -> list[tuple[Goal, float]]:
    """What was asked of a row's arm, and what was found."""
    return [
        (Goal(**{name: value for name, value in entry.items() if name != "found"}), entry["found"])
        for entry in row["goals"]
    ]
