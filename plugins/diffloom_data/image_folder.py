"""The configuration of a folder of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from diffloom.kinds import Examples, ImageInfo
from diffloom_data.picture_folder import PictureFolder

if TYPE_CHECKING:
    from typing import Self


class ImageFolder(PictureFolder):
    """Pictures in a folder and its sub-folders, whose names are class labels.

    Each picture is scaled so that it just covers the model's picture (bicubic with antialiasing), then
    cropped. EXIF orientation is honoured, transparency is laid on white, 16-bit grey is brought to 8 bits.
    The first start decodes every file once to find broken ones and remembers the outcome in the user's cache
    folder; later starts only look at sizes and dates.
    """

    name = "image_folder"

    labels: bool | None = None
    """Give each picture the condition `label`: the name of the sub-folder of `path` it lies in. null does so
    when all pictures lie in sub-folders, and refuses a folder with pictures both at the top and below."""

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
        self.require_channels(image)
        from diffloom_data.folder_examples import FolderExamples
        from diffloom_data.listing import picture_files

        folder = Path(self.path).expanduser()
        files, tops = picture_files(folder)
        return FolderExamples(self.album(folder, files, image=image), tops=tops, labels=self.labels)
