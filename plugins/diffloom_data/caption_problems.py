"""Everything that is wrong with captions, told at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from diffloom.errors import DataError
from diffloom_data.told import listed


def require_none(place: object, problems: Sequence[str], *, bare: Collection[str]) -> None:
    """Raises DataError naming the problems, and the pictures that have no caption, unless there are none of either."""
    told = [*problems, *(f"{name}: no caption" for name in sorted(bare))]
    if not told:
        return
    several = "problem" if len(told) == 1 else "problems"
    raise DataError(
        f"{place}: {len(told)} {several} with the captions; every picture needs one, and every caption a picture:\n"
        f"{listed(told)}"
    )
