"""Examples side by side, as the model is shown them: each picture, what goes with it, and beneath it what is known.

Legend: C channels, H height, W width.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from diffloom.data_inspection.conditions_section import described
from diffloom.data_inspection.figures import shortened
from diffloom.data_inspection.glance import Seen
from diffloom.kinds import DataInfo

PICTURE_PX, GAP_PX, LINE_PX, FONT_PX = 144, 8, 14, 11
LINES = 4
"""Of text beneath an example, at most."""
CHARACTERS = 25
"""In a line beneath one picture: as many as its width holds."""


def contact_sheet(seen: Sequence[Seen], info: DataInfo) -> Image.Image:
    """The examples row by row on grey, which tells white pictures from what is around them, in a near square.

    Raises ValueError for pictures of neither 1 nor 3 channels.
    """
    font = ImageFont.load_default(size=FONT_PX)
    rows = [_pictures(one) for one in seen]
    across = max(len(row) for row in rows)
    columns = math.ceil(math.sqrt(len(rows) / across))
    texts = [_lines(one.example.conditions, info, width=across * CHARACTERS) for one in seen]
    width = across * (PICTURE_PX + GAP_PX)
    height = PICTURE_PX + max(map(len, texts)) * LINE_PX + GAP_PX
    size = (columns * width + GAP_PX, math.ceil(len(rows) / columns) * height + GAP_PX)
    sheet = Image.new("RGB", size, "gainsboro")
    draw = ImageDraw.Draw(sheet)
    for number, (row, lines) in enumerate(zip(rows, texts, strict=True)):
        left, top = GAP_PX + number % columns * width, GAP_PX + number // columns * height
        for place, picture in enumerate(row):
            sheet.paste(_fitted(picture), (left + place * (PICTURE_PX + GAP_PX), top))
        for line, text in enumerate(lines):
            draw.text((left, top + PICTURE_PX + line * LINE_PX), text, fill="black", font=font)
    return sheet


def _picture(image_CHW: NDArray[np.float32]) -> Image.Image:
    channels = len(image_CHW)
    if channels not in (1, 3):
        raise ValueError(f"pictures have 1 or 3 channels, not {channels}")
    bytes_CHW = ((image_CHW.astype(np.float64).clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)
    return Image.fromarray(bytes_CHW[0] if channels == 1 else np.moveaxis(bytes_CHW, 0, -1).copy())


def _pictures(one: Seen) -> list[Image.Image]:
    """The example's own, and what goes with it among its conditions."""
    own = _picture(one.example.image_CHW)
    parts = [part for raw in one.example.conditions.values() for part in _parts(raw)]
    return [own, *(part for part in parts if isinstance(part, Image.Image) and part != own)]


def _parts(raw: Any) -> tuple[Any, ...]:
    """A condition may be a pair, of a picture and its mask."""
    return raw if isinstance(raw, tuple) else (raw,)


def _fitted(picture: Image.Image) -> Image.Image:
    """As large as its place; the pixels of small ones stay visible."""
    scale = PICTURE_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS)


def _lines(conditions: dict[str, Any], info: DataInfo, *, width: int) -> list[str]:
    """What is known of an example: labels by their names and captions, then what else there is in words."""
    first: list[str] = []
    others: list[str] = []
    for key, raw in conditions.items():
        if key in info.classes and not isinstance(raw, str):
            first.append(shortened(f"{key}: {info.classes[key][raw]}", width))
        elif isinstance(raw, str):
            first += textwrap.wrap(raw, width)
        elif not any(isinstance(part, Image.Image) for part in _parts(raw)):
            others.append(shortened(f"{key}: {described(raw)}", width))
    lines = [*first, *others]
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], "…"]
