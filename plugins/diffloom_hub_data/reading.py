"""A record → an example. Legend: C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from diffloom.errors import DataError
from diffloom.kinds import Example, ImageInfo
from diffloom.picture import Frame, Framing, open_picture, pixel_values
from diffloom_hub_data import values
from diffloom_hub_data.columns import Column, Columns, Condition
from diffloom_hub_data.library import datasets

SIZE = "size"
"""The condition that every picture has, unless a column gives it: its own size and its crop, as SDXL's `size_crop`
takes them."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How examples are made of records, in which pictures are still encoded."""

    columns: Columns
    image: ImageInfo
    framing: Framing
    several: Literal["random", "first"]
    root: Path | None
    """Where the names of files in a column begin."""

    def example(self, record: Mapping[str, Any], rng: np.random.Generator) -> Example:
        """The picture in its frame and the conditions: crop, flip, then each condition are drawn from `rng`.

        What goes with the picture, masks and second pictures, is seen through the same frame. Raises DataError naming
        what cannot be read.
        """
        picture = self.opened(self.columns.picture, record, channels=self.image.channels)
        size = (picture.height, picture.width)
        try:
            frame = self.framing.draw(size, shape=self.image.shape_for(size), rng=rng)
        except ValueError as error:
            raise DataError(f"{self.columns.picture.name}: {error}") from error
        conditions = {
            key: self._condition(key, column, record, frame, rng)
            for key, column in self.columns.conditions.items()
        }
        return Example(
            image_CHW=pixel_values(frame.of(picture)), conditions={SIZE: frame.size_crop, **conditions}
        )

    def opened(self, column: Column, record: Mapping[str, Any], *, channels: int) -> Image.Image:
        """The picture of a column, decoded. Raises DataError, naming it."""
        source, called = self.source(column, record)
        try:
            return open_picture(source, channels=channels)
        except Exception as error:  # Pillow's are of many kinds
            raise DataError(f"{column.name}: {called} cannot be read: {error}") from error

    def source(self, column: Column, record: Mapping[str, Any]) -> tuple[bytes | Path | Image.Image, str]:
        """A picture's content, or where that is; and what to call it. Raises DataError where there is none."""
        value = column.of(record[column.name])
        if value is None:
            raise DataError(f"{column.name}: no picture")
        if isinstance(value, str):
            return (self.root or Path()) / value, value
        content, path = value["bytes"], value["path"]
        if content is not None:
            return content, path or "the picture"
        if "://" in path:
            return self._fetched(value, column), path
        return (self.root or Path()) / path, path

    def _fetched(self, value: Any, column: Column) -> Image.Image:
        """A picture that lies elsewhere, or within an archive."""
        try:
            picture: Image.Image = datasets().Image().decode_example(value)
        except Exception as error:  # of fsspec, of the hub's client, of Pillow
            raise DataError(f"{column.name}: {value['path']} cannot be read: {error}") from error
        return picture

    def _condition(
        self, key: str, column: Condition, record: Mapping[str, Any], frame: Frame, rng: np.random.Generator
    ) -> Any:
        if isinstance(column, tuple):
            picture, mask = column
            return self._beside(picture, record, frame), self._beside(mask, record, frame, channels=1)
        if column.holds == "picture":
            return self._beside(column, record, frame)
        try:
            known = values.known(column, column.of(record[column.name]))
        except ValueError as error:
            raise DataError(f"{key}: {error}") from error
        if column.holds != "text":
            return known
        # A choice of one draws nothing.
        return known[0 if self.several == "first" else int(rng.integers(len(known)))]

    def _beside(
        self, column: Column, record: Mapping[str, Any], frame: Frame, *, channels: int | None = None
    ) -> Image.Image:
        """A picture that goes with the example's own, in the same frame."""
        picture = self.opened(column, record, channels=channels or self.image.channels)
        height, width = frame.size
        # One pixel is what rounding a scaled size can cost.
        if (
            abs(picture.width - width * picture.height / height) >= 1
            and abs(picture.height - height * picture.width / width) >= 1
        ):
            raise DataError(
                f"{column.name}: {picture.height}×{picture.width} pixels, beside a picture of {height}×{width}; what "
                "goes together has one aspect ratio"
            )
        return frame.of(picture)
