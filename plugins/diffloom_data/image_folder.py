"""The configuration of a folder of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from diffloom.errors import DataError
from diffloom.kinds import Data, Examples, ImageInfo

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class ImageFolder(Data):
    """Pictures in a folder and its sub-folders, whose names are class labels.

    Each picture is scaled so that it just covers the model's picture (bicubic with antialiasing), then
    cropped. EXIF orientation is honoured, transparency is laid on white, 16-bit grey is brought to 8 bits.
    The first start decodes every file once to find broken ones and remembers the outcome in the user's cache
    folder; later starts only look at sizes and dates.
    """

    name = "image_folder"

    path: str
    """The folder, from the current directory; `~` is the home folder. Files whose names begin with a dot, and
    files without a picture's suffix, are not looked at."""
    labels: bool | None = None
    """Give each picture the condition `label`: the name of the sub-folder of `path` it lies in. null does so
    when all pictures lie in sub-folders, and refuses a folder with pictures both at the top and below."""
    crop: Literal["center", "random"] = "center"
    """Which part of a picture of another shape is seen: its middle, or another part each time."""
    flip: bool = False
    """Mirror left and right half of the time."""
    unreadable: Literal["skip", "refuse"] = "refuse"
    """What to do with files that cannot be decoded: warn, naming them, and go on; or stop and name all."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        import numpy as np
        from PIL import Image

        pixels_NHWC = np.random.default_rng(0).integers(0, 256, (6, 40, 50, 3), dtype=np.uint8)
        for index, pixels_HWC in enumerate(pixels_NHWC):
            file = folder / ("cat", "dog")[index % 2] / f"{index}.png"
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels_HWC).save(file)
        path = str(folder)
        return (cls(path=path), cls(path=path, labels=False, crop="random", flip=True, unreadable="skip"))

    def build(self, *, image: ImageInfo) -> Examples:
        """List and check the files. Raises DataError for a folder that is missing, empty or not readable,
        for broken files that are not to be skipped, and for a picture that has neither 1 nor 3 channels.
        """
        if image.channels not in (1, 3):
            raise DataError(
                f"image_folder gives pictures with 1 channel (grey) or 3 (RGB), not {image.channels}: "
                "set `image.channels` to 1 or 3"
            )
        from diffloom_data.folder_examples import FolderExamples

        return FolderExamples(
            path=self.path,
            labels=self.labels,
            crop=self.crop,
            flip=self.flip,
            unreadable=self.unreadable,
            image=image,
        )
