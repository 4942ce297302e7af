"""What has to hold of a run after each kill, and at its end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from benchmarks.soak.kill import last_step

from diffloom.checkpoint import open_checkpoint
from diffloom.training.run_folder import RunFolder, step_of
from diffloom.verification.comparison import UNSHARED

CHECKPOINT_EVERY, KEEP, KEEP_EVERY = 10, 3, 500


@dataclass(frozen=True)
class Found:
    """What a kill left."""

    saved: int
    """The newest checkpoint's step."""
    lost: int
    """Steps after it, which are taken again."""


def require_sound(run: RunFolder, *, at_least: int) -> Found:
    """After a kill: every checkpoint is whole, none that should stay is gone, and little is lost."""
    saved = run.saved()
    for path in saved:
        checkpoint = open_checkpoint(path)
        for group in checkpoint.header.digests:
            checkpoint.group(group)  # raises where it does not match its digest
    steps = [step_of(path) for path in saved]
    newest = steps[-1] if steps else 0
    assert newest >= at_least, f"step {at_least} was saved, and now the newest is {newest}"
    oldest = max(CHECKPOINT_EVERY, newest - (KEEP - 1) * CHECKPOINT_EVERY)
    assert set(steps) >= set(range(oldest, newest + 1, CHECKPOINT_EVERY))
    assert set(steps) >= set(range(KEEP_EVERY, newest + 1, KEEP_EVERY))
    lost = max(0, last_step(run) - newest)
    assert lost <= CHECKPOINT_EVERY, f"{lost} steps were taken since a checkpoint"
    return Found(newest, lost)


def require_same(whole: RunFolder, killed: RunFolder) -> None:
    """At the end: the same rows, pictures and tensors, and nothing half written is left."""
    one, two = (open_checkpoint(run.saved()[-1]) for run in (whole, killed))
    assert one.step == two.step
    assert one.header.digests == two.header.digests
    for group in two.header.digests:
        two.group(group)  # raises where it does not match its digest
    assert rows(whole) == rows(killed)
    assert [row["step"] for row in rows(killed)] == list(range(1, one.step + 1))
    assert [path.name for path in whole.saved()] == [path.name for path in killed.saved()]
    pictures = ({path.name: path.read_bytes() for path in run.samples.iterdir()} for run in (whole, killed))
    assert next(pictures) == next(pictures)
    assert {path.name for path in killed.path.rglob(".*")} <= {".lock"}


def rows(run: RunFolder) -> list[dict[str, Any]]:
    """The rows of metrics, but for times and estimates."""
    lines = run.metrics.read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in UNSHARED} for line in lines]
