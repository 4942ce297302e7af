"""Everything that is wrong with captions, told at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from diffloom.errors import DataError

LISTED = 20
"""How many problems a message names before it only counts."""


def require_none(place: object, problems: Sequence[str], *, bare: Collection[str]) -> None:
    """Raises DataError naming the problems, and the pictures that have no caption, unless there are none of either."""
    told = [*problems, *(f"{name}: no caption" for name in sorted(bare))]
    if not told:
        return
    more = [f"  … and {len(told) - LISTED} more"] if len(told) > LISTED else []
    several = "problem" if len(told) == 1 else "problems"
    head = f"{place}: {len(told)} {several} with the captions; every picture needs one, and every caption a picture:"
    raise DataError("\n".join([head, *(f"  {problem}" for problem in told[:LISTED]), *more]))
