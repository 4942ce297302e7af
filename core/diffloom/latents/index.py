"""index.json: written when a cache is whole, and so the sign that it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffloom
from diffloom.errors import DataError
from diffloom.latents.description import Description
from diffloom.training.replacement import replace_text

NAME = "index.json"
FORMAT = 1
"""Version of a cache's layout; readers refuse one with a larger."""


@dataclass(frozen=True)
class Index:
    """What a whole cache says of itself."""

    description: Description
    data: str
    """SHA-256 over the pictures that were encoded, row by row: `DataDigest`."""


def write_index(folder: Path, index: Index) -> None:
    """Write it, whole or not at all. Raises RunError where the folder cannot be written to."""
    fields = {
        "format": FORMAT,
        "version": diffloom.__version__,
        "description": index.description.plain(),
        "data": index.data,
    }
    text = json.dumps({**fields, "sha256": _digest(fields)}, indent=2, ensure_ascii=False)
    replace_text(folder / NAME, f"{text}\n")


def read_index(folder: Path) -> Index:
    """Read and check it. Raises DataError for what is no whole cache, is damaged, or of a newer diffloom."""
    path = folder / NAME
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        begun = sum(1 for _ in folder.glob("latents-*.safetensors"))
        what = f"is unfinished: it has {begun} files and no {NAME}" if begun else "is no cache of latents"
        raise DataError(f"{folder}: {what}; run `diffloom cache` with -o {folder}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    except ValueError as error:
        raise _damaged(path) from error
    try:
        if fields["format"] > FORMAT:
            raise DataError(
                f"{path}: has format {fields['format']}, written by diffloom {fields['version']}; update with "
                "`pip install -U diffloom`"
            )
        is_intact = fields.pop("sha256") == _digest(fields)
        index = Index(Description.parse(fields["description"]), fields["data"])
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error
    if not is_intact:
        raise _damaged(path)
    return index


def _damaged(path: Path) -> DataError:
    return DataError(
        f"{path}: is damaged; remove it, then `diffloom cache` checks the files and makes it again"
    )


def _digest(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
