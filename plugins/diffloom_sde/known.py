"""The picture that RePaint keeps, and where. Legend: C channels, H height, W width."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d


def read_picture(path: str) -> Tensor:
    """The file's pixels in [-1, 1], (C, H, W), float32: 1 channel where it is grey, 3 otherwise."""
    with Image.open(Path(path).expanduser()) as file:
        upright = ImageOps.exif_transpose(file)
        picture = upright.convert("L" if upright.mode in ("1", "L") else "RGB")
    pixels_HWC = np.atleast_3d(np.asarray(picture, dtype=np.float32))
    return torch.from_numpy(pixels_HWC).permute(2, 0, 1) / 127.5 - 1


def read_mask(path: str) -> Tensor:
    """Where the file is brighter than middle grey, (H, W), bool."""
    with Image.open(Path(path).expanduser()) as file:
        grey = ImageOps.exif_transpose(file).convert("L")
    return torch.from_numpy(np.asarray(grey) > 127)


def cells_kept(mask_HW: Tensor, *, height: int, width: int) -> Tensor:
    """The mask for a space of another size, (height, width), bool: a cell is kept where all of its pixels are."""
    painted = (~mask_HW).float()[None, None]
    return adaptive_max_pool2d(painted, (height, width))[0, 0] == 0
