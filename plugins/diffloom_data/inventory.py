"""The pictures of a folder that can be used, and what they are. Legend: N pictures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo
from diffloom.picture import Framing
from diffloom_data.listing import File
from diffloom_data.partners import Partner
from diffloom_data.stock import Stock
from diffloom_data.told import listed


@dataclass(frozen=True, eq=False)
class Inventory:
    """Of each picture only its names and its size."""

    names: list[str]
    """Paths below the folder."""
    sizes_N2: NDArray[np.int32]
    """Upright height and width of each."""
    partners: dict[Partner, list[str]]
    """For each partner the paths, below its folder, of what goes with the pictures."""
    dropped: tuple[str, ...]
    """What lies there and is not used, each with the reason."""


def inventory(
    folder: Path,
    files: Sequence[File],
    *,
    partners: Sequence[Partner],
    framing: Framing,
    unreadable: Literal["skip", "refuse"],
    image: ImageInfo,
) -> Inventory:
    """Look at every file once.

    Raises DataError naming all that stands against it: files that cannot be read and are not to be skipped, pictures
    without a partner or of another shape than it, pictures too small to be cut from. Warns of what is skipped, and of
    pictures that are enlarged.
    """
    stock = Stock(folder, files, partners)
    unread = stock.unreadable
    many = f"{folder}: {len(unread)} unreadable file{'s' if len(unread) > 1 else ''}"
    problems = [*stock.told_missing(), *stock.told_mismatched(), *stock.told_too_small(framing, image)]
    if unread and unreadable == "refuse":
        problems.insert(0, f"{many}; mend or remove them, or set `unreadable: skip`:\n{listed(unread)}")
    if problems:
        raise DataError("\n".join(problems))
    if unread:
        warnings.warn(f"{many} skipped:\n{listed(unread)}", stacklevel=2)
    items = stock.readable
    if not items:
        raise DataError(f"{folder}: none of the {len(files)} pictures in it can be read")
    for text in stock.told_enlarged(framing, image):
        warnings.warn(text, stacklevel=2)
    return Inventory(
        names=[item.file.name for item in items],
        sizes_N2=np.array([item.size for item in items], np.int32),
        partners={partner: [item.beside[partner][0].name for item in items] for partner in partners},
        dropped=(*unread, *stock.spare),
    )
