"""Long lists in messages."""

from __future__ import annotations

from collections.abc import Sequence

LISTED = 20
"""How many problems a message names before it only counts."""


def listed(problems: Sequence[str]) -> str:
    """One line for each of the first, and one that counts the others."""
    more = [f"  … and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
    return "\n".join([*(f"  {problem}" for problem in problems[:LISTED]), *more])
