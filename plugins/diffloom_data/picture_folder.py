"""What the configurations of all folders of pictures have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from diffloom.errors import DataError
from diffloom.kinds import Data, ImageInfo

if TYPE_CHECKING:
    from pathlib import Path

    from diffloom_data.album import Album
    from diffloom_data.listing import File


class PictureFolder(Data):
    """Pictures in a folder and its sub-folders; a subclass says what is known of each."""

    path: str
    """The folder, from the current directory; `~` is the home folder. Files whose names begin with a dot, and
    files without a picture's suffix, are not looked at."""
    crop: Literal["center", "random"] = "center"
    """Which part of a picture of another shape is seen: its middle, or another part each time."""
    flip: bool = False
    """Mirror left and right half of the time."""
    unreadable: Literal["skip", "refuse"] = "refuse"
    """What to do with files that cannot be decoded: warn, naming them, and go on; or stop and name all."""

    @property
    def deterministic(self) -> bool:
        return self.crop == "center" and not self.flip

    def require_channels(self, image: ImageInfo) -> None:
        """Raises DataError for a picture that has neither 1 nor 3 channels."""
        if image.channels not in (1, 3):
            raise DataError(
                f"{self.name} gives pictures with 1 channel (grey) or 3 (RGB), not {image.channels}: "
                "set `image.channels` to 1 or 3"
            )

    def album(self, folder: Path, files: list[File], *, image: ImageInfo) -> Album:
        """The readable ones of these files, as this configuration wants them seen."""
        from diffloom_data.album import Album

        return Album(folder, files, crop=self.crop, flip=self.flip, unreadable=self.unreadable, image=image)
