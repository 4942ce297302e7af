"""Pictures made ready for a model, as every source of data needs it: opened, framed, turned into numbers.

    framing = Framing(crop="random", flip=True)
    picture = open_picture(path, channels=3)
    frame = framing.draw((picture.height, picture.width), shape=(image.height, image.width), rng=rng)
    Example(image_CHW=pixel_values(frame.of(picture)), conditions={"size": frame.size_crop})

What goes with a picture (a mask, a second picture) passes through the same frame. Importing this imports neither torch
nor numpy, so that a component may name `Crop`, `Framing` and `Resize`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from diffloom.picture.framing import Crop, Frame, Framing, Resize
    from diffloom.picture.opening import open_picture
    from diffloom.picture.values import pixel_values

__all__ = ["Crop", "Frame", "Framing", "Resize", "open_picture", "pixel_values"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "framing": ["Crop", "Frame", "Framing", "Resize"],
        "opening": ["open_picture"],
        "values": ["pixel_values"],
    },
)
