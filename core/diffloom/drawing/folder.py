"""A folder of PNG files, one for each image, each with its recipe. Legend: B images, H height, W width, C channels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffloom.drawing import manifest as manifests
from diffloom.drawing.manifest import NAME, Manifest
from diffloom.errors import RunError
from diffloom.pictures import picture, save_png

DIGITS = 5
"""Of a file's number, at least."""
END = b"\0\0\0\0IEND\xaeB`\x82"
"""What every whole PNG ends with: its last chunk, which is empty."""
IMAGE = re.compile(r"\d{5,}\.png")


class ImageFolder:
    """`00000.png` and so on in a folder, and beside them `samples.json`, which says how they were drawn."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.workplace = path
        """The folder that is worked in."""

    def begin(self, manifest: Manifest) -> Manifest:
        """Begin the collection, or go on with it: as the manifest says that is there already.

        Raises RunError where the folder holds other images.
        """
        if not (self.path / NAME).exists():
            stranger = next((item.name for item in self.path.iterdir() if IMAGE.fullmatch(item.name)), None)
            if stranger is not None and not (self.path / NAME).exists():
                raise RunError(
                    f"{self.path}: has {stranger}, and no {NAME} that says how it was drawn; choose another -o"
                )
        self._digits = max(DIGITS, len(str(manifest.settings["images"] - 1)))
        return manifests.begun(self.path / NAME, manifest)

    def has(self, rows: range) -> bool:
        """Whether these images are there, and whole."""
        return all(is_whole(self._file(row)) for row in rows)

    def write(
        self, rows: range, bytes_BHWC: NDArray[np.uint8], recipe_of: Callable[[int], Mapping[str, Any]]
    ) -> None:
        """Write those images that are not there, each whole or not at all. Raises DiffloomError where that fails."""
        for index, (row, pixels_HWC) in enumerate(zip(rows, bytes_BHWC, strict=True)):
            if not is_whole(self._file(row)):
                save_png(picture(pixels_HWC), self._file(row), recipe=recipe_of(index))

    @property
    def is_finished(self) -> bool:
        """Whether it was once noted that all images are there."""
        return manifests.read(self.path / NAME).finished

    def finish(self, manifest: Manifest, labels: NDArray[np.int64] | None) -> None:
        """Note that all images are there, and remove what killed processes left half written."""
        for name in (".*.png.*.tmp", f".{NAME}.*.tmp"):
            for hidden in self.path.glob(name):
                hidden.unlink()
        manifests.finish(self.path / NAME, manifest)

    def _file(self, row: int) -> Path:
        return self.path / f"{row:0{self._digits}d}.png"


def is_whole(path: Path) -> bool:
    """Whether a file is there and ends as a PNG does."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - len(END)))
            return file.read() == END
    except FileNotFoundError:
        return False
