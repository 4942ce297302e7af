"""Which labels sub-folders make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffloom.errors import DataError
from diffloom_data.listing import top
from diffloom_data.told import listed


def class_names(
    folder: Path, names: Sequence[str], tops: Sequence[str], labels: bool | None
) -> tuple[str, ...]:
    """The class names, sorted; none when the pictures are not labelled. `tops` are the folder's own sub-folders.

    Raises DataError naming everything that leaves unclear which label a picture has: pictures in no sub-folder, and
    sub-folders without pictures.
    """
    loose = [name for name in names if not top(name)]
    if labels is False or (labels is None and len(loose) == len(names)):
        return ()
    empty = sorted(set(tops) - {top(name) for name in names})
    problems = [f"{name}: a sub-folder without pictures" for name in empty]
    problems += [f"{name}: in no sub-folder" for name in loose]
    if problems:
        counts = [f"{len(loose)} of {len(names)} pictures lie in none"] if loose else []
        counts += [f"{len(empty)} of {len(tops)} hold no pictures"] if empty else []
        raise DataError(
            f"{folder}: sub-folders are labels, and {' and '.join(counts)}; move or remove these, or set "
            f"`labels: false`:\n{listed(problems)}"
        )
    return tuple(tops)
