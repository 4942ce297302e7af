"""A folder of pictures, labelled by its sub-folders, as examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffloom.kinds import DataInfo, Example
from diffloom_data.album import Album
from diffloom_data.listing import top


class FolderExamples:
    """Random access to an album's pictures, each with the label that its sub-folder makes."""

    def __init__(self, album: Album, *, classes: Sequence[str]) -> None:
        """`classes` are the names of the sub-folders; none for pictures without labels."""
        self.album = album
        ids = {name: i for i, name in enumerate(classes)}
        self.label_N = np.array([ids[top(name)] for name in album.inventory.names], np.int32) if ids else None
        self.info = DataInfo(
            examples=len(album),
            classes={"label": tuple(classes)} if ids else {},
            labels={} if self.label_N is None else {"label": self.label_N},
            sizes=album.inventory.sizes_N2,
            framing=album.framing,
            dropped=album.inventory.dropped,
        )

    def __len__(self) -> int:
        return len(self.album)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Picture `index`, cropped and flipped by `rng`, and its label."""
        image_CHW, conditions = self.album.view(index, rng)
        label = {} if self.label_N is None else {"label": int(self.label_N[index])}
        return Example(image_CHW=image_CHW, conditions=conditions | label)
