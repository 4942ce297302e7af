"""Captions in text files beside the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffloom_data.caption_problems import require_none
from diffloom_data.listing import File


def captions_beside(folder: Path, files: Sequence[File]) -> dict[str, tuple[str, ...]]:
    """The captions of each picture by its name: the lines of its text file that are not blank.

    Raises DataError naming every picture whose text file is missing, empty or unreadable, every text file beside no
    picture, and every pair of pictures that would share one.
    """
    captions: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    owners: dict[Path, str] = {}
    bare: list[str] = []
    for file in files:
        path = (folder / file.name).with_suffix(".txt")
        if path in owners:
            problems.append(
                f"{file.name}: shares {path.name} with {owners[path]}; rename one of the pictures"
            )
            continue
        owners[path] = file.name
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            bare.append(file.name)
            continue
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{path.relative_to(folder)}: cannot be read: {error}")
            continue
        captions[file.name] = tuple(line.strip() for line in lines if line.strip())
        if not captions[file.name]:
            problems.append(f"{path.relative_to(folder)}: empty")
    problems += [
        f"{path.relative_to(folder)}: no picture beside it; remove what is no caption"
        for path in sorted(folder.rglob("*.txt"))
        if path not in owners and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    require_none(folder, problems, bare=bare)
    return captions
