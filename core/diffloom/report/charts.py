"""Which curves a page shows: one chart for each figure, all runs in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffloom.report.account import Account
from diffloom.report.curve import curve
from diffloom.report.history import History

BUCKET = re.compile(r"(.+)_bucket_(\d+)")
BY_NOISE = {"loss": "Loss by noise level", "grad_norm": "Gradient norm by noise level"}
"""Figures that rows hold for each part of the schedule's times, too."""
TITLES = {
    "loss": "Loss",
    "grad_norm": "Gradient norm",
    "lr": "Learning rate",
    "images_per_second": "Examples per second",
    "data_wait": "Share of the time that was spent waiting for data",
    "noise_scale": "Gradient noise scale, in examples",
    "condition_gain": "What the condition is worth: cost of another example's, against one's own",
    "null_gap": "What the condition is worth: cost of none, against one's own",
}
"""Of the figures that most runs have, in their order; the others stand behind them under their own names."""
EXACT = frozenset({"lr"})
"""Figures that are no measurements: there is nothing in them to be smoothed."""
UNSHOWN = frozenset({"seconds"})
TABLE_ROWS = 12


@dataclass(frozen=True)
class Table:
    """Some of a run's rows, in figures."""

    run: str
    names: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    """(step, figures); the first and the last row are among them."""


@dataclass(frozen=True)
class Chart:
    """One picture of curves."""

    key: str
    title: str
    note: str
    lines: tuple[dict[str, Any], ...]
    """For the script: `name`, `colour`, `points` of [step, low, mean, high, smooth]."""
    marks: tuple[dict[str, Any], ...]
    """For the script: `step`, `cause` of the sentinel's findings."""
    raw: bool
    """Whether the figures themselves are drawn at first, or their smoothed course alone."""
    tables: tuple[Table, ...]

    @property
    def label(self) -> str:
        """The chart in words."""
        ends = ", ".join(
            f"{line['name']} from {line['points'][0][4]:g} to {line['points'][-1][4]:g}"
            for line in self.lines
        )
        return f"{self.title}, by step: {ends}"

    @property
    def data(self) -> dict[str, Any]:
        """What the script draws from."""
        return {"lines": self.lines, "marks": self.marks, "raw": self.raw}


def charts(runs: Sequence[Account]) -> list[Chart]:
    """The charts of several runs: each figure's with a line for each, and for each run the losses by noise level."""
    names = dict.fromkeys(name for run in runs for name in run.history.columns)
    plain = [name for name in names if name not in UNSHOWN and not BUCKET.fullmatch(name)]
    ordered = [*(name for name in TITLES if name in plain), *(name for name in plain if name not in TITLES)]
    found = [_of_figure(name, runs) for name in ordered]
    by_noise = [
        _by_noise(figure, index, run, alone=len(runs) == 1)
        for figure in BY_NOISE
        for index, run in enumerate(runs)
    ]
    return [chart for chart in (*found[:1], *by_noise, *found[1:]) if chart is not None and chart.lines]


def _of_figure(name: str, runs: Sequence[Account]) -> Chart:
    with_it = [(index, run) for index, run in enumerate(runs) if name in run.history.columns]
    alone = len(runs) == 1
    lines = [
        _line(name if alone else run.name, f"run-{index % 8}", run.history, name) for index, run in with_it
    ]
    return Chart(
        key=re.sub(r"\W", "-", name),
        title=TITLES.get(name, name),
        note="",
        lines=tuple(line for line in lines if line["points"]),
        marks=tuple(mark for index, run in with_it for mark in _marks(run, "" if alone else f"{run.name}: ")),
        raw=True,
        tables=tuple(_table(run, (name,)) for _, run in with_it),
    )


def _by_noise(figure: str, index: int, run: Account, *, alone: bool) -> Chart | None:
    parts = ((BUCKET.fullmatch(name), name) for name in run.history.columns)
    buckets = sorted((int(part[2]), name) for part, name in parts if part and part[1] == figure)
    if not buckets:
        return None
    lines = [_line(_bucket(number), f"noise-{number % 8}", run.history, name) for number, name in buckets]
    return Chart(
        key=f"{figure}-by-noise-{index}",
        title=BY_NOISE[figure] + ("" if alone else f": {run.name}"),
        note="The schedule's times in eight equal parts, from the cleanest to the noisiest.",
        lines=tuple(line for line in lines if line["points"]),
        marks=tuple(_marks(run, "")),
        raw=False,
        tables=(_table(run, tuple(name for _, name in buckets)),),
    )


def _bucket(number: int) -> str:
    """`cleanest`, `2 of 8`, …, `noisiest`."""
    return {0: "cleanest", 7: "noisiest"}.get(number, f"{number + 1} of 8")


def _line(name: str, colour: str, history: History, column: str) -> dict[str, Any]:
    """A line's points, to six digits."""
    found = curve(history.steps, history.columns[column], smooths=column not in EXACT)
    values = np.stack([found.steps, found.low, found.mean, found.high, found.smooth], axis=1)
    points = [[int(step), *(float(f"{value:.6g}") for value in rest)] for step, *rest in values.tolist()]
    return {"name": name, "colour": colour, "points": points}


def _marks(run: Account, prefix: str) -> Iterator[dict[str, Any]]:
    for found in run.findings:
        yield {"step": found.step, "cause": prefix + found.cause}


def _table(run: Account, names: tuple[str, ...]) -> Table:
    history = run.history
    last = len(history) - 1
    count = min(TABLE_ROWS, len(history))
    chosen = sorted({round(index * last / max(1, count - 1)) for index in range(count)})
    rows = tuple(
        (int(history.steps[i]), tuple(_figure(history.columns[name][i]) for name in names)) for i in chosen
    )
    return Table(run.name, names, rows)


def _figure(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else "–"
