"""Which pictures a folder holds, and which labels their sub-folders make."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from diffloom.errors import DataError

SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"]
)
"""Files that are pictures by their name, in any case. Of a file with several frames the first is seen."""


@dataclass(frozen=True)
class File:
    """A picture file as the file system describes it."""

    name: str
    """Path below the folder, with slashes."""
    size_bytes: int
    modified_ns: int

    @property
    def top(self) -> str:
        """The first sub-folder of the path; empty for a file in the folder itself."""
        head, slash, _ = self.name.partition("/")
        return head if slash else ""


def picture_files(folder: Path) -> tuple[list[File], list[str]]:
    """The pictures below a folder, sorted by name, and the folder's own sub-folders.

    Raises DataError when the folder is missing, not a folder, not readable, or holds no pictures.
    """
    tops = [entry.name for entry in _entries(folder) if entry.is_dir()]
    files = sorted(_walk(folder, PurePosixPath(), frozenset()), key=lambda file: file.name)
    if not files:
        raise DataError(f"{folder}: no pictures in it (files that end in {', '.join(sorted(SUFFIXES))})")
    return files, sorted(tops)


def class_names(
    folder: Path, files: Sequence[File], tops: Sequence[str], labels: bool | None
) -> tuple[str, ...]:
    """The class names, sorted; none when the pictures are not labelled.

    Raises DataError where it is not clear which label a picture has.
    """
    loose = [file.name for file in files if not file.top]
    if labels is False or (labels is None and len(loose) == len(files)):
        return ()
    if loose:
        raise DataError(
            f"{folder}: sub-folders are labels, and {len(loose)} of {len(files)} pictures lie in none "
            f"({loose[0]}{', …' if len(loose) > 1 else ''}): put them into one, or set `labels: false`"
        )
    empty = sorted(set(tops) - {file.top for file in files})
    if empty:
        raise DataError(
            f"{folder}: sub-folders are labels, and no pictures are in {', '.join(empty)}: "
            "remove what is no class, or set `labels: false`"
        )
    return tuple(tops)


def _walk(folder: Path, below: PurePosixPath, above: frozenset[tuple[int, int]]) -> Iterator[File]:
    """Every picture below a folder. Links to folders are followed, but never back into a folder on the
    way."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _walk(Path(entry.path), below / entry.name, above | {here})
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 (a Path for each is slow)
            yield _file(entry, str(below / entry.name))


def _file(entry: os.DirEntry[str], name: str) -> File:
    """The file of a folder's entry. A dangling link is listed too: opening it will say what is wrong with
    it."""
    try:
        status = entry.stat()
    except OSError:
        return File(name, 0, 0)
    return File(name, status.st_size, status.st_mtime_ns)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, hidden things aside."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError as error:
        raise DataError(f"{folder}: no such folder; a relative `path` starts at {Path.cwd()}") from error
    except NotADirectoryError as error:
        raise DataError(f"{folder}: a file, and `path` names a folder of pictures") from error
    except PermissionError as error:
        raise DataError(f"{folder}: no permission to read this folder; `chmod u+rx` it") from error
