"""Which picture files can be decoded, and how large they are; remembered from one start to the next.

A header check would be quick, but a file cut off in the middle has a sound header and would stop a run hours
later. So each file is decoded once, on all cores. The outcome is kept in the user's cache folder, and holds
as long as a file keeps its size and its date.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import PIL

from diffloom.picture import open_picture
from diffloom_data.listing import File

SLICE = 1024
"""Files handed to the threads at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What decoding a file showed: its upright size, or why it failed."""

    width: int = 0
    height: int = 0
    failure: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.height, self.width)


def check_files(folder: Path, files: Sequence[File]) -> list[Outcome]:
    """Every file's outcome, from the memory of earlier starts where there is one."""
    memory = Memory(folder)
    known = memory.read()
    fresh = [file for file in files if file not in known]
    if fresh:
        known.update(_decode_all(folder, fresh))
        memory.write({file: known[file] for file in files})
    return [known[file] for file in files]


def _decode_all(folder: Path, files: Sequence[File]) -> Iterator[tuple[File, Outcome]]:
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes without holding Python's lock
        for start in range(0, len(files), SLICE):
            chosen = files[start : start + SLICE]
            yield from zip(chosen, threads.map(_decode, [folder / file.name for file in chosen]), strict=True)


def _decode(path: Path) -> Outcome:
    try:
        picture = open_picture(path, channels=3)
    except Exception as error:  # OSError, SyntaxError, ValueError, DecompressionBombError, struct.error, ...
        return Outcome(failure=f"{type(error).__name__}: {error}".replace(str(path), path.name))
    return Outcome(picture.width, picture.height)


class Memory:
    """A file in the user's cache folder: a line of JSON for each picture. Without it everything works, only slower to
    start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def path(self) -> Path:
        """One file for each picture folder. Raises RuntimeError for a user without a home."""
        caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        # Another Pillow may read more files, or fewer.
        digest = hashlib.sha256(f"{PIL.__version__} {self.folder.resolve()}".encode()).hexdigest()
        return caches / "diffloom" / "image_folder" / f"{digest[:32]}.jsonl"

    def read(self) -> dict[File, Outcome]:
        """What was remembered; nothing when there is no such file, or when it is damaged."""
        known: dict[File, Outcome] = {}
        try:
            with self.path.open(encoding="utf-8") as lines:
                for line in lines:
                    name, size_bytes, modified_ns, width, height, failure = json.loads(line)
                    known[File(name, size_bytes, modified_ns)] = Outcome(width, height, failure)
        except (OSError, RuntimeError, ValueError, TypeError):
            return {}
        return known

    def write(self, outcomes: Mapping[File, Outcome]) -> None:
        """Remember; where the cache folder cannot be written, the next start decodes again."""
        try:
            path = self.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(
                "w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False
            ) as file:
                for key, outcome in outcomes.items():
                    file.write(json.dumps([*astuple(key), *astuple(outcome)]) + "\n")
            Path(file.name).replace(path)
        except (OSError, RuntimeError):
            return
