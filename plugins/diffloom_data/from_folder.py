"""What the configuration says of a condition that lies in another folder. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from diffloom.kinds import Section

if TYPE_CHECKING:
    from typing import Self

Name = Annotated[str, Field(min_length=1)]


class FromFolder(Section):
    """A condition and the folders that it comes from, named from the folder of the pictures. For every picture each has
    a file of the same name, whatever its suffix, and of the same aspect ratio."""

    name: Name
    """What the condition is called, as its conditioner is."""
    pictures: Name | None = None
    """The folder of second pictures; null means the pictures themselves, where there are masks."""
    masks: Name | None = None
    """The folder of masks, white where a picture is to be repainted; the condition is then the pair of picture and
    mask."""

    @model_validator(mode="after")
    def _names_a_folder(self) -> Self:
        if self.pictures is None and self.masks is None:
            raise ValueError(f"{self.name} comes from no folder; name one with `pictures`, `masks` or both")
        return self

    @property
    def folders(self) -> tuple[str, ...]:
        """All that are named."""
        return tuple(folder for folder in (self.pictures, self.masks) if folder is not None)
