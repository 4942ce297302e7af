"""Figures as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

LISTED = 10
"""How many of many a page names."""
BAR = 24
"""Characters of the longest bar."""


def listed(texts: Sequence[str]) -> list[str]:
    """The first of them, and how many more there are."""
    more = [f"… and {len(texts) - LISTED:,} more"] if len(texts) > LISTED else []
    return [*texts[:LISTED], *more]


def share(part: int, whole: int) -> str:
    """`31 of 1,797 (1.7 %)`."""
    return f"{part:,} of {whole:,} ({part / whole:.1%})".replace("%", " %")


def bars(counts: Iterable[tuple[str, int]]) -> list[str]:
    """A line for each name: its count and a bar in proportion."""
    rows = list(counts)
    most = max((count for _, count in rows), default=0)
    wide, digits = max((len(name) for name, _ in rows), default=0), len(f"{most:,}")
    return [
        f"{name.ljust(wide)}  {count:>{digits},}  {'█' * round(BAR * count / most) if most else ''}".rstrip()
        for name, count in rows
    ]


def shortened(text: str, width: int = 70) -> str:
    """The text in one line, cut where it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
