"""What the configurations of all folders of pictures have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from diffloom.errors import DataError
from diffloom.kinds import Data, ImageInfo
from diffloom.picture import Crop, Framing, Resize
from diffloom_data.from_folder import FromFolder

if TYPE_CHECKING:
    from typing import Self

    from diffloom_data.album import Album
    from diffloom_data.listing import File

SIZE = "size"
"""The condition that every picture has: its own size and its crop, as SDXL's `size_crop` takes them."""


class PictureFolder(Data):
    """Pictures in a folder and its sub-folders; a subclass says what is known of each."""

    path: str
    """The folder, from the current directory; `~` is the home folder. Files whose names begin with a dot, and
    files without a picture's suffix, are not looked at."""
    resize: Resize = "cover"
    """How a picture is brought to the model's shape: scaled until it just covers it, stretched to exactly it, or not
    scaled at all but cut out, which takes pictures that are large enough."""
    crop: Crop = "center"
    """Which part of a picture is seen where that is larger or of another shape: its middle, or another part each
    time."""
    flip: bool = False
    """Mirror left and right half of the time."""
    conditions: tuple[FromFolder, ...] = ()
    """Second pictures and masks, cropped and flipped together with the picture, as the conditioner `image` takes them:
    `[{name: before, pictures: ../before}]`, or with masks `[{name: image, masks: ../masks}]`."""
    unreadable: Literal["skip", "refuse"] = "refuse"
    """What to do with files that cannot be decoded: warn, naming them, and go on; or stop and name them."""

    @property
    def known_by(self) -> tuple[str, ...]:
        """The conditions that examples have beside `conditions`."""
        return (SIZE,)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [*self.known_by, *(condition.name for condition in self.conditions)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"two conditions are called {twice[0]!r} ({SIZE!r} is the picture's own size); rename one"
            )
        return self

    @property
    def framing(self) -> Framing:
        """How a picture is brought to the model's shape."""
        return Framing(resize=self.resize, crop=self.crop, flip=self.flip)

    @property
    def deterministic(self) -> bool:
        return self.framing.deterministic

    @property
    def folder(self) -> Path:
        """Where the pictures lie."""
        return Path(self.path).expanduser()

    @property
    def beside(self) -> tuple[Path, ...]:
        """The folders of what goes with the pictures, which are not among them."""
        return tuple(self.folder / folder for condition in self.conditions for folder in condition.folders)

    def require_channels(self, image: ImageInfo) -> None:
        """Raises DataError for a picture that has neither 1 nor 3 channels."""
        if image.channels not in (1, 3):
            raise DataError(
                f"{self.name} gives pictures with 1 channel (grey) or 3 (RGB), not {image.channels}: "
                "set `image.channels` to 1 or 3"
            )

    def album(self, files: list[File], *, image: ImageInfo) -> Album:
        """The usable ones of these files, as this configuration wants them seen."""
        from diffloom_data.album import Album
        from diffloom_data.inventory import inventory
        from diffloom_data.partners import partners

        stock = inventory(
            self.folder,
            files,
            partners=partners(self.folder, self.conditions),
            framing=self.framing,
            unreadable=self.unreadable,
            image=image,
        )
        return Album(self.folder, stock, framing=self.framing, image=image)
