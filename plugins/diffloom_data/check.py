"""Which picture files can be decoded, and how large they are; remembered from one start to the next.

A header check would be quick, but a file cut off in the middle has a sound header and would stop a run hours
later. So each file is decoded once, on all cores. The outcome is kept in the user's cache folder, and holds
as long as a file keeps its size and its date.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import PIL

from diffloom.picture import open_picture
from diffloom_data.listing import File

SLICE = 1024
"""Files handed to the threads at once."""


@dataclass(frozen=True)
class Outcome:
    """What decoding a file showed: its upright size, or why it failed."""

    width: int = 0
    height: int = 0
    failure: str = ""


def check_files(folder: Path, files: Sequence[File]) -> dict[str, Outcome]:
    """Every file's outcome by name, from the memory of earlier starts where there is one."""
    memory = Memory(folder)
    known = memory.read()
    outcomes = {file.name: known[_key(file)] for file in files if _key(file) in known}
    fresh = [file for file in files if file.name not in outcomes]
    outcomes.update(_decode_all(folder, fresh))
    if fresh:
        memory.write({_key(file): outcomes[file.name] for file in files})
    return outcomes


def _decode_all(folder: Path, files: Sequence[File]) -> Iterator[tuple[str, Outcome]]:
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes without holding Python's lock
        for start in range(0, len(files), SLICE):
            names = [file.name for file in files[start : start + SLICE]]
            yield from zip(names, threads.map(_decode, [folder / name for name in names]), strict=True)


def _decode(path: Path) -> Outcome:
    try:
        picture = open_picture(path, channels=3)
    except Exception as error:  # OSError, SyntaxError, ValueError, DecompressionBombError, struct.error, ...
        return Outcome(failure=f"{type(error).__name__}: {error}".replace(str(path), path.name))
    return Outcome(picture.width, picture.height)


def _key(file: File) -> str:
    return f"{file.size_bytes} {file.modified_ns} {file.name}"


class Memory:
    """A file in the user's cache folder. Without it everything works, only slower to start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def path(self) -> Path:
        """One file for each picture folder. Raises RuntimeError for a user without a home."""
        caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        # Another Pillow may read more files, or fewer.
        digest = hashlib.sha256(f"{PIL.__version__} {self.folder.resolve()}".encode()).hexdigest()
        return caches / "diffloom" / "image_folder" / f"{digest[:32]}.json"

    def read(self) -> dict[str, Outcome]:
        """What was remembered; nothing when there is no such file, or when it is damaged."""
        try:
            return {key: Outcome(**value) for key, value in json.loads(self.path.read_bytes()).items()}
        except (OSError, RuntimeError, ValueError, TypeError, AttributeError):
            return {}

    def write(self, outcomes: dict[str, Outcome]) -> None:
        """Remember; where the cache folder cannot be written, the next start decodes again."""
        content: dict[str, Any] = {key: asdict(outcome) for key, outcome in outcomes.items()}
        try:
            path = self.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
                json.dump(content, file)
            Path(file.name).replace(path)
        except (OSError, RuntimeError):
            return
