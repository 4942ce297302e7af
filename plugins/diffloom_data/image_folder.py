"""The configuration of a folder of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from diffloom.kinds import Examples, ImageInfo
from diffloom_data.from_folder import FromFolder
from diffloom_data.picture_folder import PictureFolder

if TYPE_CHECKING:
    from typing import Self


class ImageFolder(PictureFolder):
    """Pictures in a folder and its sub-folders, whose names are class labels.

    Each picture is scaled so that it just covers the model's picture (bicubic with antialiasing), then
    cropped, unless `resize` says otherwise. EXIF orientation is honoured, transparency is laid on white, 16-bit grey is
    brought to 8 bits. The first start decodes every file once to find broken ones and remembers the outcome in the
    user's cache folder; later starts only look at sizes and dates. The condition `size` says how large a picture was
    and what was cropped away, as `size_crop` takes it.
    """

    name = "image_folder"

    labels: bool | None = None
    """Give each picture the condition `label`: the name of the sub-folder of `path` it lies in. null does so
    when all pictures lie in sub-folders, and refuses a folder with pictures both at the top and below."""

    @property
    def known_by(self) -> tuple[str, ...]:
        return (*super().known_by, "label")

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        import numpy as np
        from PIL import Image

        pixels_NHWC = np.random.default_rng(0).integers(0, 256, (6, 40, 50, 3), dtype=np.uint8)
        for index, pixels_HWC in enumerate(pixels_NHWC):
            picture = Image.fromarray(pixels_HWC)
            top = ("cat", "dog")[index % 2]
            for file in (folder / "seen" / top / f"{index}.png", folder / "masks" / top / f"{index}.webp"):
                file.parent.mkdir(parents=True, exist_ok=True)
                picture.save(file)
        path = str(folder / "seen")
        masked = FromFolder(name="image", masks="../masks")
        return (
            cls(path=path),
            cls(path=path, labels=False, crop="random", flip=True, unreadable="skip", conditions=(masked,)),
            cls(path=path, resize="stretch", crop="random"),
        )

    def build(self, *, image: ImageInfo) -> Examples:
        """List and check the files. Raises DataError for a folder that is missing, empty or not readable,
        for broken files that are not to be skipped, and for a picture that has neither 1 nor 3 channels.
        """
        self.require_channels(image)
        from diffloom_data.folder_examples import FolderExamples
        from diffloom_data.labels import class_names
        from diffloom_data.listing import picture_files

        files, tops = picture_files(self.folder, without=self.beside)
        album = self.album(files, image=image)
        classes = class_names(self.folder, album.inventory.names, tops, self.labels)
        return FolderExamples(album, classes=classes)
