"""Which pictures a folder holds."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from diffloom.errors import DataError

SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"]
)
"""Files that are pictures by their name, in any case. Of a file with several frames the first is seen."""


@dataclass(frozen=True, slots=True)
class File:
    """A picture file as the file system describes it."""

    name: str
    """Path below the folder, with slashes."""
    size_bytes: int
    modified_ns: int


def picture_files(folder: Path, *, without: Collection[Path] = ()) -> tuple[list[File], list[str]]:
    """The pictures below a folder, sorted by name, and the folder's own sub-folders; `without` are folders that are not
    looked into.

    Raises DataError when the folder is missing, not a folder, not readable, or holds no pictures.
    """
    skipped = frozenset(_identity(other) for other in without if other.is_dir())
    tops = [
        entry.name
        for entry in _entries(folder)
        if entry.is_dir() and _identity(Path(entry.path)) not in skipped
    ]
    files = sorted(_walk(folder, PurePosixPath(), skipped), key=lambda file: file.name)
    if not files:
        raise DataError(f"{folder}: no pictures in it (files that end in {', '.join(sorted(SUFFIXES))})")
    return files, sorted(tops)


def top(name: str) -> str:
    """The first sub-folder of a file's path; empty for a file in the folder itself."""
    head, slash, _ = name.partition("/")
    return head if slash else ""


def _walk(folder: Path, below: PurePosixPath, closed: frozenset[tuple[int, int]]) -> Iterator[File]:
    """Every picture below a folder. Links to folders are followed, but never back into a folder on the way, nor into
    one that is closed."""
    here = _identity(folder)
    if here in closed:
        return
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _walk(Path(entry.path), below / entry.name, closed | {here})
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 (a Path for each is slow)
            yield _file(entry, str(below / entry.name))


def _identity(folder: Path) -> tuple[int, int]:
    """What tells a folder from all others, by whatever path."""
    status = folder.stat()
    return (status.st_dev, status.st_ino)


def _file(entry: os.DirEntry[str], name: str) -> File:
    """The file of a folder's entry. A dangling link is listed too: opening it will say what is wrong with it."""
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
