"""Figures kept by machine and work, and the page that shows them all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.speed.case import Case
from benchmarks.speed.measure import Figures

HEAD = """# Speed and memory, beside diffusers

`make bench` writes this page; `make bench WORK=train` measures one work anew. Both sides run in one process on the same
weights and inputs, and take turns. A ratio is the peer's time by ours in the same round, by the process's CPU time (all
threads together; on CUDA by the wall's clock): its median, and its quartiles in brackets. The difference is the largest
of the outputs, in standard deviations of the peer's. Memory is the most beyond what there was before the call, weights
left out. The share is that of the fastest 3×3 convolution measured on the same machine in the same type, counting the
operations that diffusers does: work that is not done raises it.
"""
COLUMNS = (
    "work",
    "arm",
    "ratio",
    "CPU s",
    "wall s",
    "difference",
    "memory MiB",
    "share of the peak",
    "asked for",
)


def kept(case: Case, work: str, figures: Sequence[Figures], peaks: dict[str, float]) -> list[dict[str, Any]]:
    """The rows of one case."""
    rows = []
    for one in figures:
        kind = "bf16" if "bf16" in one.arm else "fp32"
        share = case.gflop / one.wall_seconds / peaks[kind] if case.gflop else None
        rows.append({"work": work, "title": case.title, "target": case.target, "share": share, **asdict(one)})
    return rows


def renewed(path: Path, machine: str, work: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is kept at `path`, with this machine's rows of this work in place of those there were."""
    everything: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    others = [row for row in everything.get(machine, []) if row["work"] != work]
    everything[machine] = sorted([*others, *rows], key=lambda row: str(row["work"]))
    path.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")
    return everything


def page(everything: dict[str, Any], scaling: Path) -> str:
    """All of it in Markdown, with the page of how cost grows as its last section, where that was written."""
    parts = [HEAD]
    for machine, rows in everything.items():
        parts.append(f"\n## {machine}\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n")
        parts.extend(f"| {' | '.join(cells(row))} |\n" for row in rows)
    if scaling.exists():
        section = scaling.read_text(encoding="utf-8")
        parts.append("\n" + section.replace("](", f"]({scaling.parent.name}/"))  # its plot lies beside it
    return "".join(parts)


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row as it is read."""
    lower, upper = row["spread"]
    return (
        row["title"],
        row["arm"],
        f"{row['ratio']:.2f} ({lower:.2f}–{upper:.2f})",
        f"{row['seconds']:.3g}",
        f"{row['wall_seconds']:.3g}",
        "" if row["difference"] is None else f"{row['difference']:.1e}",
        "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}",
        "" if row["share"] is None else f"{row['share']:.0%}",
        row["target"],
    )
