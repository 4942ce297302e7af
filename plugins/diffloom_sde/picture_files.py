"""The picture files that RePaint is given, opened without torch."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo


def opened(key: str, path: str) -> Image.Image:
    """The file upright, grey (mode L) where it has no colour, RGB otherwise. Raises DataError for any other file."""
    try:
        with Image.open(Path(path).expanduser()) as file:
            picture = ImageOps.exif_transpose(file)
    except OSError as error:  # UnidentifiedImageError too
        raise DataError(f"{key}: {path} cannot be read as a picture: {error}") from error
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def require_fit(picture: Image.Image, mask: Image.Image, image: ImageInfo) -> None:
    """Raise ValueError unless both are as large as the model's pictures, and the picture has their channels."""
    for key, file in (("picture", picture), ("mask", mask)):
        if (file.height, file.width) != (image.height, image.width):
            raise ValueError(
                f"{key}: it has {file.height}×{file.width} pixels, and the model's pictures have "
                f"{image.height}×{image.width}; scale or crop it to that"
            )
    channels = len(picture.getbands())
    if channels != image.channels:
        raise ValueError(
            f"picture: it has {channels} channels, and the model's pictures have {image.channels}; save it as "
            f"{'grey' if image.channels == 1 else 'RGB'}"
        )
