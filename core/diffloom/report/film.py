"""The sheets of samples as a film: small enough for a page, and all of the same size on it."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from diffloom.pictures import RECIPE

SHEET = re.compile(r"step-(\d+)\.png")
MOST_FRAMES = 48
LONGEST_PX = 1024
"""Longer sheets are made smaller."""
LARGEST_BYTES = 150_000
"""Larger ones are packed with loss."""
SHOWN_PX = 480
"""Smaller ones are shown enlarged by a whole factor, so that 8×8 pictures can be seen."""


@dataclass(frozen=True)
class Frame:
    """One sheet."""

    step: int
    source: str
    """A data URI."""
    alt: str
    """What is on it, for those who cannot see it."""
    width_px: int
    height_px: int
    factor: int
    """How many times as large it is shown."""


@dataclass(frozen=True)
class Film:
    """The sheets of a run, the first and the last always among them."""

    frames: tuple[Frame, ...]
    sheets: int
    """How many the run has drawn."""
    recipe: str
    """The last sheet's recipe as JSON, empty where it has none."""


def read_film(folder: Path) -> Film:
    """The film of a folder of sheets; sheets that are evenly spread stand for the rest."""
    sheets = sorted(
        (int(m[1]), path) for path in folder.glob("step-*.png") if (m := SHEET.fullmatch(path.name))
    )
    last = len(sheets) - 1
    count = min(MOST_FRAMES, len(sheets))
    chosen = sorted({round(index * last / max(1, count - 1)) for index in range(count)})
    frames = [_frame(step, path) for step, path in (sheets[index] for index in chosen)]
    return Film(tuple(frame for frame, _ in frames), len(sheets), frames[-1][1] if frames else "")


def _frame(step: int, path: Path) -> tuple[Frame, str]:
    data = path.read_bytes()
    kind = "png"
    with Image.open(io.BytesIO(data)) as sheet:
        recipe = str(getattr(sheet, "text", {}).get(RECIPE, ""))
        size = sheet.size
        if max(size) > LONGEST_PX or len(data) > LARGEST_BYTES:
            shown = sheet.convert("RGB")
            shown.thumbnail((LONGEST_PX, LONGEST_PX))
            packed = io.BytesIO()
            shown.save(packed, format="WEBP", quality=85)
            data, kind, size = packed.getvalue(), "webp", shown.size
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    factor = max(1, -(-SHOWN_PX // max(size)))
    return Frame(step, source, f"Samples after step {step}{_told(recipe)}", *size, factor), recipe


def _told(recipe: str) -> str:
    """What a recipe asks for, in words: `; label: 0, 1, 2`."""
    asked = json.loads(recipe).get("conditions", {}) if recipe else {}
    return "".join(
        f"; {name}: {', '.join(map(str, values))}"
        for name, values in asked.items()
        if isinstance(values, list)
    )
