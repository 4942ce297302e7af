"""A folder of captioned pictures as examples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from diffloom.kinds import DataInfo, Example
from diffloom_data.album import Album


class CaptionedExamples:
    """Random access to an album's pictures, each with one of its captions."""

    def __init__(self, album: Album, *, captions: Mapping[str, tuple[str, ...]], condition: str) -> None:
        """`captions` are those of each picture, by its name."""
        self.album = album
        self.condition = condition
        self.captions = [captions[name] for name in album.inventory.names]
        self.info = DataInfo(
            examples=len(album),
            captions={condition: tuple(caption for several in self.captions for caption in several)},
            sizes=album.inventory.sizes_N2,
            framing=album.framing,
            dropped=album.inventory.dropped,
        )

    def __len__(self) -> int:
        return len(self.album)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Picture `index` and a caption: crop, flip and then which of several captions are drawn from `rng`."""
        image_CHW, conditions = self.album.view(index, rng)
        several = self.captions[index]
        caption = several[int(rng.integers(len(several)))]  # a choice of one draws nothing
        return Example(image_CHW=image_CHW, conditions=conditions | {self.condition: caption})
