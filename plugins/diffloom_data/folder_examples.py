"""A folder of pictures, labelled by its sub-folders, as examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffloom.kinds import DataInfo, Example
from diffloom_data.album import Album
from diffloom_data.listing import class_names


class FolderExamples:
    """Random access to an album's pictures, each with the label that its sub-folder makes."""

    def __init__(self, album: Album, *, tops: Sequence[str], labels: bool | None) -> None:
        """`tops` are the folder's own sub-folders. Raises DataError where it is unclear which label one has."""
        self.album = album
        classes = class_names(album.folder, album.files, tops, labels)
        ids = {name: i for i, name in enumerate(classes)}
        self.labels = [ids[file.top] for file in album.files] if classes else None
        self.info = DataInfo(examples=len(album), classes={"label": classes} if classes else {})

    def __len__(self) -> int:
        return len(self.album)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Picture `index`, cropped and flipped by `rng`, and its label."""
        return Example(
            image_CHW=self.album.picture(index, rng),
            conditions={} if self.labels is None else {"label": self.labels[index]},
        )
