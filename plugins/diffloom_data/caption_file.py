"""Captions in one file of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from diffloom.errors import DataError
from diffloom_data.caption_problems import require_none
from diffloom_data.listing import File

FILE_KEYS = ("file", "file_name")
CAPTION_KEYS = ("caption", "text")
"""What lines may call the picture and its caption when the configuration does not say."""


class LineError(Exception):
    """What is wrong with one line."""


@dataclass(frozen=True)
class Line:
    """One picture and its captions."""

    file: str
    captions: tuple[str, ...]


def captions_in_lines(
    path: Path, files: Sequence[File], *, file_key: str | None, caption_key: str | None
) -> dict[str, tuple[str, ...]]:
    """The captions of each picture by its name.

    Raises DataError when the file is missing or no text, and naming every line that is not understood, every empty
    caption, every picture that is captioned twice or not at all, and every caption of a picture that is not there.
    """
    names = {file.name for file in files}
    captions: dict[str, tuple[str, ...]] = {}
    written: dict[str, int] = {}
    problems: list[str] = []
    for number, text in enumerate(_lines(path), start=1):
        if not text.strip():
            continue
        try:
            line = _line(
                text, (file_key,) if file_key else FILE_KEYS, (caption_key,) if caption_key else CAPTION_KEYS
            )
            if line.file not in names:
                raise LineError(f"no picture {line.file} in the folder")
            if line.file in written:
                raise LineError(f"{line.file} has its caption in line {written[line.file]} already")
        except LineError as error:
            problems.append(f"{path.name}:{number}: {error}")
            continue
        written[line.file] = number
        captions[line.file] = line.captions
    require_none(path, problems, bare=names - captions.keys())
    return captions


def _lines(path: Path) -> list[str]:
    try:
        # Not splitlines(): it also splits at characters that JSON allows inside a string.
        return path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: no such captions file; name it with `captions`, from the folder of the pictures, "
            "or set `captions: null` to read a .txt file beside each picture"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _line(text: str, file_keys: Sequence[str], caption_keys: Sequence[str]) -> Line:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise LineError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise LineError("not JSON that can be read: nested too deeply") from error
    if not isinstance(content, dict):
        raise LineError(f"expected an object with {file_keys[0]!r} and {caption_keys[0]!r}")
    file = _value(content, file_keys)
    if not isinstance(file, str):
        raise LineError(f"the picture's path is text, not {json.dumps(file)}")
    value = _value(content, caption_keys)
    several = value if isinstance(value, list) else [value]
    if not all(isinstance(caption, str) for caption in several):
        raise LineError("a caption is text, or a list of texts")
    stripped = tuple(caption.strip() for caption in several)
    if not stripped or not all(stripped):
        raise LineError(f"an empty caption of {file}")
    try:
        "".join(stripped).encode()
    except UnicodeEncodeError as error:  # JSON can escape one half of a character beyond the first 65,536
        raise LineError(f"half a character in the caption of {file}") from error
    return Line(str(PurePosixPath(file)), stripped)


def _value(content: Mapping[str, Any], keys: Sequence[str]) -> Any:
    found = [key for key in keys if key in content]
    if not found:
        there = ", ".join(content) or "nothing"
        raise LineError(f"no {' or '.join(map(repr, keys))}; it has {there}")
    if len(found) > 1:
        raise LineError(f"both {' and '.join(map(repr, found))}; say in the configuration which one counts")
    return content[found[0]]
