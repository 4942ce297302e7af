"""What a resumed run may change in its configuration: how long it runs, what it tells and how it is computed, never
its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from diffloom.errors import RunError

TELLING = frozenset(
    f"train.{key}"
    for key in (
        "checkpoint_every",
        "keep_checkpoints",
        "keep_every",
        "log_every",
        "sample_every",
        "sentinel.every",
        "sentinel.stops",
        "snapshot_every",
        "trackers",
    )
)
"""What is written and told of a run, and when."""
EXACT = frozenset({"train.gradient_checkpointing", "train.workers"})
"""How the numbers are computed, to the last bit."""
ROUNDED = frozenset({"train.compile", "train.convolutions", "train.micro_batch_size", "train.parallel"})
"""How they are computed, in another order of sums: equal but for rounding."""
FREE = TELLING | EXACT | ROUNDED


@dataclass(frozen=True)
class Change:
    """One key whose value differs."""

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        rounds = " (what follows rounds differently)" if self.key in ROUNDED else ""
        return f"{self.key}: {self.before!r} → {self.now!r}{rounds}"


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """The keys that differ between two resolved configurations as plain mappings, in the order of the keys."""
    old, new = dict(_flat(before)), dict(_flat(now))
    return [
        Change(key, old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def require_resumable(found: list[Change], place: object, *, open_ended: bool) -> None:
    """Raises RunError listing the changes that would make the run another one.

    `open_ended` says whether the learning rate so far is that of a longer run too, so that this one may become longer.
    """
    refused = [change for change in found if not _is_allowed(change, open_ended=open_ended)]
    if not refused:
        return
    listed = "\n".join(f"  {change}" for change in refused)
    longer = "raise train.steps and " if open_ended else ""
    reason = (
        ""
        if open_ended or all(change.key != "train.steps" for change in refused)
        else " The steps taken had the learning rates of a run of that length: train.lr_schedule looks to the end."
    )
    raise RunError(
        f"{place}: this run was begun with another configuration:\n{listed}\n"
        f"Take these back, or choose another -o. A resumed run may only {longer}change "
        f"{', '.join(sorted(FREE))}.{reason}"
    )


def _is_allowed(change: Change, *, open_ended: bool) -> bool:
    if change.key == "train.steps":
        return open_ended and bool(change.now > change.before)
    return change.key in FREE or change.key.startswith("plugins.")


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
