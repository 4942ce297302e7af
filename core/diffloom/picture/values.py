"""8-bit pictures → numbers. Legend: C channels, H height, W width."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def pixel_values(picture: Image.Image) -> NDArray[np.float32]:
    """(C, H, W) in [-1, 1] of a grey or RGB picture: 0 → -1, 255 → 1."""
    pixels = np.asarray(picture)
    pixels_CHW = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels_CHW, dtype=np.float32) / np.float32(127.5) - 1
