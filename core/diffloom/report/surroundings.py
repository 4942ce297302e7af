"""Where a run's sessions computed, as tables: what did not change has one column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

UNITS = {"memory_bytes": "memory", "gpu_memory_bytes": "GPU memory"}
"""Entries that are numbers of bytes, and what they are called."""


@dataclass(frozen=True)
class Row:
    """One thing that is known of the sessions."""

    name: str
    values: tuple[str, ...]
    """One where it is the same in all sessions, otherwise one for each."""


def rows(sessions: Sequence[dict[str, Any]], key: str) -> Iterator[Row]:
    """What the sessions say under a key."""
    for name in dict.fromkeys(name for session in sessions for name in session[key]):
        values = tuple(_told(name, session[key].get(name)) for session in sessions)
        yield Row(UNITS.get(name, name), values[:1] if len(set(values)) == 1 else values)


def size_text(size_bytes: float) -> str:
    """`3.2 MB`, in powers of a thousand."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"


def duration_text(seconds: float) -> str:
    """`2 h 5 min`, `3 min 20 s`, `12.3 s`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def moment_text(iso: str) -> str:
    """A moment as sessions write it, to read: `2026-11-22 14:00 UTC`."""
    return datetime.fromisoformat(iso).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _told(name: str, value: Any) -> str:
    if value is None:
        return "–"
    return size_text(value) if name in UNITS else str(value)
