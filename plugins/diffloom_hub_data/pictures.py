"""All pictures of a table looked at before the training: decoded, or only measured. Legend: N examples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffloom.errors import DataError
from diffloom_hub_data.check import Problems
from diffloom_hub_data.reading import Reading

SLICE = 256
"""Rows handed to the threads at once."""
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)
"""EXIF's tag, and its values for pictures that lie on their side."""
T = TypeVar("T")


def require_readable(table: Any, reading: Reading, *, place: str) -> None:
    """Raises DataError naming the rows of all pictures that cannot be decoded."""

    def failure(row: dict[str, Any]) -> str | None:
        try:
            for column in reading.columns.all:
                if column.holds == "picture":
                    reading.opened(column, row, channels=reading.image.channels)
        except DataError as error:
            return str(error)
        return None

    problems = Problems()
    for number, problem in enumerate(_each(table, failure)):
        if problem is not None:
            problems.add(number, problem)
    problems.require_none(place, remedy="mend or remove these rows, or set `unreadable: replace`")


def sizes(table: Any, reading: Reading) -> NDArray[np.int32]:
    """(N, 2), height and width of every picture, upright: from its header, nothing is decoded.

    A picture whose header cannot be read counts as one of the model's own shape; reading it will tell.
    """
    usual = (reading.image.height, reading.image.width)

    def size(row: dict[str, Any]) -> tuple[int, int]:
        try:
            source, _ = reading.source(reading.columns.picture, row)
            if isinstance(source, Image.Image):
                return source.height, source.width
            with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as file:
                is_sideways = file.getexif().get(ORIENTATION) in SIDEWAYS
                return (file.width, file.height) if is_sideways else (file.height, file.width)
        except Exception:  # Pillow's are of many kinds
            return usual

    return np.fromiter(_each(table, size), np.dtype((np.int32, 2)), count=len(table))


def _each(table: Any, look: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    """What `look` finds in each row, one after another, by all cores: Pillow works without Python's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for first in range(0, len(table), SLICE):
            rows = (table[row] for row in range(first, min(first + SLICE, len(table))))
            yield from threads.map(look, list(rows))
