"""Two runs held against each other: what each step was fed, the figures, every tensor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffloom.checkpoint import Checkpoint
from diffloom.training.saving import FEED

TIMES = frozenset({"data_wait", "images_per_second", "seconds"})
"""Figures that two runs need not share."""
FIRST = ("step", "frozen", "weights")
"""Groups that are looked at before the others."""


@dataclass(frozen=True)
class Comparison:
    """One thing in two runs."""

    name: str
    """`examples`, `metrics.jsonl`, `step`, a checkpoint's group, or a folder of files."""
    extent: str
    """How much of it was compared."""
    difference: str | None
    """The first difference; None where there is none."""


def compare_examples(
    straight: Path, other: Path, *, first_step: int, last_step: int, what: str
) -> Comparison:
    """What two runs were fed in these steps, as a Recorder wrote it; `what` names the other run."""
    ours, theirs = (
        {row["step"]: row["examples"] for row in map(json.loads, path.read_text().splitlines())}
        for path in (straight, other)
    )
    steps = range(first_step, last_step + 1)
    extent = f"{_count(len(steps), 'step')}, {_count(sum(len(ours.get(s, ())) for s in steps), 'example')}"
    for step in steps:
        for one, two in zip(ours.get(step, ()), theirs.get(step, ()), strict=False):
            if one != two:
                place = (
                    f"position {one[0]} has another example"
                    if one[0] == two[0]
                    else f"position {two[0]} stands where position {one[0]} belongs"
                )
                return Comparison("examples", extent, f"step {step}: in {what} {place}")
        if len(ours.get(step, ())) != len(theirs.get(step, ())):
            told = (
                f"step {step}: {what} has {len(theirs.get(step, ()))} examples, not {len(ours.get(step, ()))}"
            )
            return Comparison("examples", extent, told)
    return Comparison("examples", extent, None)


def compare_rows(straight: Path, other: Path, *, first_step: int, last_step: int) -> Comparison:
    """The rows of two metrics.jsonl from one step to another, but for what they need not share."""
    ours, theirs = (_rows(path, first_step, last_step) for path in (straight, other))
    figures = sum(len(row) for row in ours.values())
    extent = f"{_count(len(ours), 'row')}, {_count(figures, 'figure')}"
    for step in sorted(ours.keys() | theirs.keys()):
        one, two = ours.get(step), theirs.get(step)
        if one is None or two is None:
            there = "only the straight run has it" if two is None else "only the resumed run has it"
            return Comparison("metrics.jsonl", extent, f"the row of step {step}: {there}")
        for key in sorted(one.keys() | two.keys()):
            if str(one.get(key)) != str(two.get(key)):  # as text, so that NaN equals NaN
                told = f"the row of step {step}: {key}: {one.get(key)} and {two.get(key)}"
                return Comparison("metrics.jsonl", extent, told)
    return Comparison("metrics.jsonl", extent, None)


def compare_checkpoints(one: Checkpoint, two: Checkpoint) -> list[Comparison]:
    """The step, and each group of tensors, but where a stream is entered: between two blocks that may be at either."""
    step = f"{one.step} and {two.step}" if one.step != two.step else None
    groups = {name.partition("/")[0] for point in (one, two) for name in point.header.names} - {FEED}
    names = sorted(groups, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    return [Comparison("step", "", step), *(_compare_group(one, two, name) for name in names)]


def compare_files(straight: Path, other: Path, *, name: str) -> Comparison:
    """All files of two folders, byte for byte."""
    ours, theirs = (
        {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*"))}
        for folder in (straight, other)
    )
    differing = [file for file in sorted(ours.keys() | theirs.keys()) if ours.get(file) != theirs.get(file)]
    told = f"{differing[0]} differs" if differing else None
    return Comparison(name, _count(len(ours), "file"), told)


def _rows(path: Path, first_step: int, last_step: int) -> dict[int, dict[str, Any]]:
    rows = map(json.loads, path.read_text().splitlines())
    return {
        row["step"]: {key: value for key, value in row.items() if key not in TIMES}
        for row in rows
        if first_step <= row["step"] <= last_step
    }


def _compare_group(one: Checkpoint, two: Checkpoint, name: str) -> Comparison:
    ours, theirs = (point.group(name) if name in point.header.digests else {} for point in (one, two))
    extent = f"{_count(len(ours), 'tensor')}, {_count(sum(t.numel() for t in ours.values()), 'number')}"
    return Comparison(name, extent, next(_tensor_differences(ours, theirs), None))


def _tensor_differences(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Iterator[str]:
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            yield f"{name}: only one of the two has it"
            continue
        a, b = ours[name], theirs[name]
        if a.dtype != b.dtype or a.shape != b.shape:
            yield f"{name}: {a.dtype} {tuple(a.shape)} and {b.dtype} {tuple(b.shape)}"
        elif not torch.equal(_bits(a), _bits(b)):
            yield f"{name}: {_how_far(a, b)}"


def _bits(tensor: Tensor) -> Tensor:
    """NaN equals NaN here, and 0 is not −0."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _how_far(a: Tensor, b: Tensor) -> str:
    distance = (a.double() - b.double()).abs()
    differing = int((distance != 0).sum())  # NaN differs from everything
    return f"{differing:,} of {_count(a.numel(), 'number')} differ, by up to {float(distance.max()):.3g}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
