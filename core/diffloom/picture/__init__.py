"""Pictures made ready for a model, as every source of data needs it: opened, framed, turned into numbers.

    framing = Framing(crop="random", flip=True)
    picture = open_picture(path, channels=3)
    frame = framing.draw((picture.height, picture.width), shape=(image.height, image.width), rng=rng)
    Example(image_CHW=pixel_values(frame.of(picture)), conditions={"size": frame.size_crop})

What goes with a picture (a mask, a second picture) passes through the same frame. Importing this does not import torch.
"""

from diffloom.picture.framing import Crop, Frame, Framing, Resize
from diffloom.picture.opening import open_picture
from diffloom.picture.values import pixel_values

__all__ = ["Crop", "Frame", "Framing", "Resize", "open_picture", "pixel_values"]
