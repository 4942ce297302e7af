"""The picture that RePaint keeps, and where. Legend: C channels, H height, W width."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d


def pixels(picture: Image.Image) -> Tensor:
    """A picture in [-1, 1], (C, H, W), float32."""
    pixels_HWC = np.atleast_3d(np.asarray(picture, dtype=np.float32))
    return torch.from_numpy(pixels_HWC).permute(2, 0, 1) / 127.5 - 1


def brighter_than_middle_grey(mask: Image.Image) -> Tensor:
    """(H, W), bool."""
    return torch.from_numpy(np.asarray(mask.convert("L")) > 127)


def cells_kept(mask_HW: Tensor, *, height: int, width: int) -> Tensor:
    """The mask for a space of another size, (height, width), bool: a cell is kept where all of its pixels are."""
    painted = (~mask_HW).float()[None, None]
    return adaptive_max_pool2d(painted, (height, width))[0, 0] == 0
