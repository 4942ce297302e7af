"""What a path means: files, a saved data set, or a name on the hub."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from diffloom.errors import DataError

FORMATS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".tar": "webdataset",
}
PICTURES = frozenset(
    [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"]
)
METADATA = frozenset(["metadata.jsonl", "metadata.csv", "metadata.parquet"])
"""What a folder of pictures may have beside them: it tells of them."""
SAVED = frozenset(["state.json", "dataset_dict.json"])
"""What `save_to_disk` writes: of one split, and of several."""
HUB = re.compile(r"[\w.-]+/[\w.-]+|[\w-]+")


@dataclass(frozen=True)
class Files:
    """Files on disk."""

    root: Path
    """Where the names of pictures in a column begin."""
    format: str
    """One of datasets' own, or `saved`."""
    names: tuple[str, ...]
    """The files; empty where the library lists the folder itself."""


def files_of(path: str, wanted: str | None) -> Files | None:
    """What lies on disk; None for a name on the hub.

    Raises DataError where there is nothing, or where it is not clear what it is.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        return _folder(place, wanted)
    pattern = glob.escape(str(place)) if place.is_file() else str(place)
    names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (a pattern may be absolute)
    if names:
        return Files(Path(names[0]).parent, wanted or _format(names, path), tuple(names))
    if HUB.fullmatch(path):
        return None
    raise DataError(
        f"{path}: no such file or folder, and no name on the hub either, which is `owner/name`; a relative `path` "
        f"starts at {Path.cwd()}"
    )


def _folder(folder: Path, wanted: str | None) -> Files:
    names = {file.name for file in folder.iterdir()}
    if wanted is None and names & SAVED:
        return Files(folder, "saved", ())
    return Files(folder, wanted or _format(_within(folder), str(folder)), ())


def _within(folder: Path) -> Iterator[str]:
    """The files in a folder and its sub-folders that are not hidden, as the library looks for them."""
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (str(Path(here, name)) for name in files if not name.startswith("."))


def _format(names: Iterable[str], place: str) -> str:
    """The one format of some files. Raises DataError where they have none, or several."""
    kinds: Counter[str] = Counter()
    for file in map(Path, names):
        suffix = file.suffix.lower()
        if suffix in PICTURES or file.name in METADATA:
            kinds["imagefolder"] += 1
        elif suffix in FORMATS:
            kinds[FORMATS[suffix]] += 1
    if len(kinds) == 1:
        return next(iter(kinds))
    known = ", ".join(FORMATS)
    if not kinds:
        raise DataError(
            f"{place}: holds no pictures and no files that end in {known}; say with `format` what it is"
        )
    listed = ", ".join(f"{count} of {kind}" for kind, count in kinds.most_common())
    raise DataError(
        f"{place}: holds files of several formats ({listed}); say with `format` which ones are meant"
    )
