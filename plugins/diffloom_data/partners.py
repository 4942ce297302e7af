"""What goes with each picture, in folders of its own: masks and second pictures. Sizes are (height, width)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from diffloom_data.from_folder import FromFolder
from diffloom_data.listing import File, picture_files


@dataclass(frozen=True)
class Partner:
    """A folder that holds something for every picture of another."""

    condition: str
    """What it is given as, or a part of."""
    folder: Path
    is_mask: bool


def partners(folder: Path, conditions: Sequence[FromFolder]) -> tuple[Partner, ...]:
    """The folders that conditions come from, seen from the folder of the pictures."""
    pictures = [Partner(one.name, folder / one.pictures, False) for one in conditions if one.pictures]
    masks = [Partner(one.name, folder / one.masks, True) for one in conditions if one.masks]
    return (*pictures, *masks)


def matched(partner: Partner, names: Sequence[str]) -> tuple[list[File | None], list[str]]:
    """For every picture the partner's file of the same name, whatever its suffix; None where there is none, or more
    than one. Beside them the partner's files that go with no picture.

    Raises DataError for a folder that cannot be read.
    """
    found: dict[str, list[File]] = {}
    for file in picture_files(partner.folder)[0]:
        found.setdefault(_stem(file.name), []).append(file)
    stems = [_stem(name) for name in names]
    of_names = [only[0] if len(only := found.get(stem, [])) == 1 else None for stem in stems]
    known = set(stems)
    spare = [file.name for stem, files in found.items() if stem not in known for file in files]
    return of_names, spare


def goes_with(size: tuple[int, int], partner_size: tuple[int, int]) -> bool:
    """Whether two pictures show the same part of a scene: their aspect ratios differ by no more than rounding to whole
    pixels makes."""
    (height, width), (partner_height, partner_width) = size, partner_size
    return (
        abs(partner_width - width * partner_height / height) < 1
        or abs(partner_height - height * partner_width / width) < 1
    )


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
