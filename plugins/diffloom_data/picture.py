"""A picture file → pixels of one shape. Legend: H height, W width, C channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def open_picture(path: Path, *, channels: int) -> Image.Image:
    """The file decoded, upright, opaque, in 8 bits: mode L for 1 channel, RGB for 3.

    Colour profiles are not applied. Raises whatever Pillow raises for a broken file, which is of many kinds.
    """
    with Image.open(path) as file:
        picture = ImageOps.exif_transpose(file)
    mode = "L" if channels == 1 else "RGB"
    if picture.mode.startswith(("I", "F")):
        picture = _eight_bits(picture)
    elif "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        opaque = Image.new("RGBA", picture.size, "white")
        opaque.alpha_composite(picture.convert("RGBA"))
        picture = opaque
    return picture.convert(mode)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits (Pillow clips at 255). Raises ValueError for wider ranges."""
    grey_HW = np.asarray(picture)
    if grey_HW.dtype.kind == "f" or grey_HW.min() < 0 or grey_HW.max() > 65535:
        raise ValueError(
            f"its grey values ({grey_HW.min()} to {grey_HW.max()}) are not those of a 16-bit picture"
        )
    return Image.fromarray(np.round(grey_HW / 257).astype(np.uint8))  # 65535 = 257 · 255


def cover(
    picture: Image.Image, *, height: int, width: int, rng: np.random.Generator | None
) -> NDArray[np.uint8]:
    """The largest part of a picture that is shaped height:width, scaled to it: (H, W) or (H, W, C).

    The part lies in the middle, or at a place drawn from `rng`, in whole pixels of the file: a picture that
    needs no scaling is cut out and nothing else. Scaling is Pillow's bicubic, which widens its filter when it
    shrinks and so does not alias; only the part itself is looked at.
    """
    scale = min(picture.width / width, picture.height / height)  # pixels of the file for one of ours
    part_width, part_height = width * scale, height * scale
    slack_x, slack_y = int(picture.width - part_width), int(picture.height - part_height)
    if rng is None:
        left, top = slack_x // 2, slack_y // 2
    else:
        left, top = int(rng.integers(slack_x + 1)), int(rng.integers(slack_y + 1))
    # A product of rounded quotients may pass the edge by one unit in the last place, which Pillow refuses.
    box = (left, top, min(left + part_width, picture.width), min(top + part_height, picture.height))
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC, box=box))
