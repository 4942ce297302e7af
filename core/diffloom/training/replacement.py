"""A small text file, replaced in one step."""

from __future__ import annotations

import os
from pathlib import Path

from diffloom.errors import RunError

SUFFIX = ".replacement"
"""Of the hidden file that takes the other's place; one that outlived its process is rubbish."""


def replace_text(path: Path, text: str) -> None:
    """Write the file whole or not at all. Raises RunError when the disk is full or the folder is not writable."""
    hidden = path.with_name(f".{path.name}{SUFFIX}")
    try:
        with hidden.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    except OSError as error:
        hidden.unlink(missing_ok=True)
        raise RunError(
            f"{path}: cannot be written: {error.strerror}; free some space or choose another folder with -o"
        ) from error
