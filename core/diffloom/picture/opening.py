"""Whatever holds a picture → the picture, upright and plain. Legend: H height, W width."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps


def open_picture(source: str | Path | bytes | IO[bytes] | Image.Image, *, channels: int) -> Image.Image:
    """A picture decoded, upright, opaque, in 8 bits: mode L for 1 channel, RGB for 3.

    `source` is a path, a file's content, an open file, or a picture of Pillow's. Transparency is laid on white, 16-bit
    grey is scaled; colour profiles are not applied; of several frames the first is seen. Raises whatever Pillow raises
    for a broken file, which is of many kinds, and ValueError for grey of more than 16 bits.
    """
    if isinstance(source, Image.Image):
        picture = ImageOps.exif_transpose(source)
    else:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as file:
            picture = ImageOps.exif_transpose(file)
    if picture.mode.startswith(("I", "F")):
        picture = _eight_bits(picture)
    elif "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        opaque = Image.new("RGBA", picture.size, "white")
        opaque.alpha_composite(picture.convert("RGBA"))
        picture = opaque
    return picture.convert("L" if channels == 1 else "RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits (Pillow clips at 255). Raises ValueError for wider ranges."""
    grey_HW = np.asarray(picture)
    if grey_HW.dtype.kind == "f" or grey_HW.min() < 0 or grey_HW.max() > 65535:
        raise ValueError(
            f"its grey values ({grey_HW.min()} to {grey_HW.max()}) are not those of a 16-bit picture"
        )
    return Image.fromarray(np.round(grey_HW / 257).astype(np.uint8))  # 65535 = 257 · 255
