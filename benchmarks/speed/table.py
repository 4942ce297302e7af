"""The page that shows every figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.speed.machine import told
from benchmarks.speed.rows import Row, asked_of
from benchmarks.speed.summary import summary
from benchmarks.speed.works import ORDER

HEAD = """# Speed and memory, beside diffusers

`make bench` writes this page; `make bench WORK=train` measures one work anew, as which alone `decode_tiles` and
`compiled_step` are measured on a CPU: they take long. Both sides run in one process on the same weights and inputs, and
take turns. A ratio is the peer's time by ours in the same round, by the process's CPU time (all threads together; on
CUDA by the wall's clock): its median, and its quartiles in brackets; beside it the median by the wall's clock, which is
what somebody waits for, idle threads included. The difference is the largest of the outputs, in
standard deviations of the peer's. Memory is the most beyond what there was before the call, weights left out. The share
is that of the most that the same machine was measured to compute in the same type, counting the operations that
diffusers does: work that is not done raises it.

What is missed may be out of reach here. So the least that a work takes is measured in the same turns, as an arm
“… alone”: of a sampler's step its passes over x by bare `torch.add`, one for each tensor of the sum; of a start
`import torch`, `import pydantic` and the numbers that the weights begin with. Bounds for what comes without being asked
for were set for processors that compute faster in bf16 than in float32; the peaks say what this one does.
"""
COLUMNS = (
    "arm",
    "ratio",
    "by the wall",
    "CPU time",
    "wall time",
    "difference",
    "memory MiB",
    "share of the peak",
    "asked for",
)


def page(machines: Mapping[str, Any], scaling: Path) -> str:
    """All of it in Markdown, with the page of how cost grows as its last section, where that was written."""
    parts = [HEAD]
    for machine, kept in machines.items():
        rows = ordered(kept["rows"])
        parts.append(f"\n## {machine}\n\nThe most it computes: {told(kept['peaks'])}.\n")
        if asked := summary(rows, kept["peaks"]):
            parts.append(f"\n### What was asked for\n\n{asked}")
        parts.append("\n### Every figure\n")
        parts.extend(_section(work, list(ones)) for work, ones in groupby(rows, key=lambda row: row["work"]))
        if any(row["kernels"] for row in rows):
            parts.append(f"\n### Where the time goes\n\n{_longest(rows)}")
    if scaling.exists():
        section = scaling.read_text(encoding="utf-8")
        parts.append("\n" + section.replace("](", f"]({scaling.parent.name}/"))  # its plot lies beside it
    return "".join(parts)


def ordered(rows: Sequence[Row]) -> list[Row]:
    """As works are read: first what was asked for; works that there are no more come last."""
    places = {work: place for place, work in enumerate(ORDER)}
    return sorted(rows, key=lambda row: places.get(row["work"], len(ORDER)))


def _section(work: str, rows: Sequence[Row]) -> str:
    """A work's table, a line in bold before the arms of each case."""
    parts = [f"\n#### `make bench WORK={work}`\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"]
    for title, ones in groupby(rows, key=lambda row: row["title"]):
        parts.append(f"| **{title[0].upper()}{title[1:]}** |{' |' * (len(COLUMNS) - 1)}\n")
        parts.extend(f"| {' | '.join(cells(row))} |\n" for row in ones)
    return "".join(parts)


def _longest(rows: Sequence[Row]) -> str:
    """The kernels that take most of each arm's time."""
    lines = ["| work | arm | kernels, and their share of the time of all |\n|---|---|---|\n"]
    for row in rows:
        if row["kernels"]:
            told_kernels = ", ".join(f"`{name[:60]}` {share:.0%}" for name, share in row["kernels"])
            lines.append(f"| {row['title']} | {row['arm']} | {told_kernels} |\n")
    return "".join(lines)


def duration(seconds: float) -> str:
    """Three figures in seconds, or what is shorter in milli- or microseconds."""
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def cells(row: Row) -> tuple[str, ...]:
    """A row as it is read."""
    lower, upper = row["spread"]
    return (
        row["arm"],
        f"{row['ratio']:.2f} ({lower:.2f}–{upper:.2f})",
        f"{row['wall_ratio']:.2f}",
        duration(row["seconds"]),
        duration(row["wall_seconds"]),
        "" if row["difference"] is None else f"{row['difference']:.1e}",
        "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}",
        "" if row["share"] is None else f"{row['share']:.0%}",
        "; ".join(str(asked.goal) + ("" if asked.holds else ": missed") for asked in asked_of(row)),
    )
