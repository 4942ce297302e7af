"""Figures as they are kept, by machine and work: `results.json`.

A work's rows are replaced when it was measured anew, and in no other way. What a file was written with that this code
does not know is an error or set aside, never dropped: a work of another name stays on the page, after those there are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.speed.case import Arm, Case
from benchmarks.speed.goal import Goal
from benchmarks.speed.machine import Peaks
from benchmarks.speed.measure import Figures

from diffloom.training.replacement import replace_text

FORM = 3
"""Of the file: to be raised where a field of `Figures` or `Goal` is renamed or goes, or one without a default comes. A
file of another form is set aside."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """A goal of a row's arm, and what was found."""

    goal: Goal
    found: float
    least: float | None = None
    """What the goal's least arm reaches, where it names one."""

    @property
    def holds(self) -> bool:
        """Whether the figure reaches the bound."""
        return self.goal.holds(self.found)


def kept(case: Case, work: str, figures: Sequence[Figures], most: Peaks) -> list[dict[str, Any]]:
    """The rows of one case, the peer's first."""
    by_arm = {one.arm: one for one in figures}
    rows = []
    for arm in (case.peer, *case.ours):
        own = by_arm[arm.name]
        goals = [
            asdict(goal)
            | {
                "found": found,
                "found_least": _found(goal, by_arm[goal.least], by_arm, case.peer) if goal.least else None,
            }
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
    machines = _read(path)
    others = [row for row in machines.get(machine, {"rows": []})["rows"] if row["work"] != work]
    machines[machine] = {"peaks": most, "rows": [*others, *rows]}
    text = json.dumps({"form": FORM, "machines": machines}, indent=1, ensure_ascii=False)
    replace_text(path, text + "\n")  # whole or not at all: who stops a run of ten minutes loses one work
    return machines


def _read(path: Path) -> dict[str, Any]:
    """Figures by machine; none where the file is not there, or is of another form, which is set aside beside it."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept.get("form") == FORM:
        machines: dict[str, Any] = kept["machines"]
        return machines
    aside = path.with_name(f"{path.stem}.form-{kept.get('form', 0)}{path.suffix}")
    path.rename(aside)
    print(f"{path.name} is of another form: it is {aside.name} now, and a new one begins")
    return {}


def asked_of(row: Row) -> list[Asked]:
    """What was asked of a row's arm, and what was found."""
    return [
        Asked(
            Goal(**{name: value for name, value in entry.items() if not name.startswith("found")}),
            entry["found"],
            entry.get("found_least"),
        )
        for entry in row["goals"]
    ]
