"""A folder's pictures as the model is shown them. Legend: C channels, H height, W width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo
from diffloom.picture import Frame, Framing, open_picture, pixel_values
from diffloom_data.inventory import Inventory


class Album:
    """Random access to an inventory. Nothing is in memory but what was counted."""

    def __init__(self, folder: Path, inventory: Inventory, *, framing: Framing, image: ImageInfo) -> None:
        self.folder = folder
        self.inventory = inventory
        self.framing = framing
        self.image = image

    def __len__(self) -> int:
        return len(self.inventory.names)

    def view(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """(C, H, W) in [-1, 1] of picture `index`; where to crop, then whether to flip, are drawn from `rng`.

        Beside it the conditions that come with it: how large it was and what was cropped away, as `size`, and the same
        view of its partners. Raises DataError where one cannot be read, or is no longer what it was.
        """
        height, width = self.inventory.sizes_N2[index].tolist()
        picture = self._opened(self.folder / self.inventory.names[index], channels=self.image.channels)
        if picture.size != (width, height):
            raise DataError(
                f"{self.folder / self.inventory.names[index]}: had {height}×{width} pixels when the run started, and "
                f"now has {picture.height}×{picture.width}"
            )
        shape = self.image.shape_for((height, width))
        frame = self.framing.draw((height, width), shape=shape, rng=rng)
        view = frame.of(picture)
        return pixel_values(view), {"size": frame.size_crop, **self._beside(index, frame, view)}

    def _beside(self, index: int, frame: Frame, view: Image.Image) -> dict[str, Any]:
        """What goes with a picture, in the same view: a second picture, or the pair of what is masked and its mask."""
        views = {
            partner: frame.of(
                self._opened(
                    partner.folder / names[index], channels=1 if partner.is_mask else self.image.channels
                )
            )
            for partner, names in self.inventory.partners.items()
        }
        seconds = {partner.condition: other for partner, other in views.items() if not partner.is_mask}
        masked = {
            partner.condition: (seconds.get(partner.condition, view), mask)
            for partner, mask in views.items()
            if partner.is_mask
        }
        return seconds | masked

    def _opened(self, path: Path, *, channels: int) -> Image.Image:
        try:
            return open_picture(path, channels=channels)
        except Exception as error:
            raise DataError(f"{path}: could be read when the run started, and no longer: {error}") from error
