"""What a resumed run may change in its configuration: how long it runs and what it reports, never its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from diffloom.errors import RunError

REPORTING = frozenset(
    f"train.{key}" for key in ("log_every", "sample_every", "checkpoint_every", "keep_checkpoints", "workers")
)
"""Keys that no trained weight depends on."""


@dataclass(frozen=True)
class Change:
    """One key whose value differs."""

    key: str
    before: Any
    now: Any

    @property
    def is_allowed(self) -> bool:
        longer = self.key == "train.steps" and self.now > self.before
        return longer or self.key in REPORTING or self.key.startswith("plugins.")

    def __str__(self) -> str:
        return f"{self.key}: {self.before!r} → {self.now!r}"


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """The keys that differ between two resolved configurations as plain mappings, in the order of the keys."""
    old, new = dict(_flat(before)), dict(_flat(now))
    return [
        Change(key, old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def require_resumable(found: list[Change], place: object) -> None:
    """Raises RunError listing the changes that would make the run another one."""
    refused = [change for change in found if not change.is_allowed]
    if refused:
        listed = "\n".join(f"  {change}" for change in refused)
        raise RunError(
            f"{place}: this run was begun with another configuration:\n{listed}\n"
            "Take these back, or choose another -o. A resumed run may only raise train.steps and change "
            f"{', '.join(sorted(REPORTING))}."
        )


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
