"""A folder's pictures in the model's shape. Legend: C channels, H height, W width."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo
from diffloom.picture import Framing, open_picture, pixel_values
from diffloom_data.check import Outcome, check_files
from diffloom_data.listing import File

NAMED = 20
"""How many skipped files a warning names."""


class Album:
    """Random access to those of a folder's files that can be read, in the order given. Only names are in memory.

    Raises DataError for unreadable files that are not to be skipped, and when none can be read.
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[File],
        *,
        crop: Literal["center", "random"],
        flip: bool,
        unreadable: Literal["skip", "refuse"],
        image: ImageInfo,
    ) -> None:
        self.folder = folder
        self.framing = Framing(crop=crop, flip=flip)
        self.image = image
        outcomes = check_files(folder, files)
        failures = {name: outcome.failure for name, outcome in outcomes.items() if outcome.failure}
        if failures:
            self._report(failures, skip=unreadable == "skip")
        self.files = [file for file in files if file.name not in failures]
        if not self.files:
            raise DataError(f"{folder}: none of the {len(failures)} pictures in it can be read")
        self._warn_of_small([outcomes[file.name] for file in self.files])

    def __len__(self) -> int:
        return len(self.files)

    def picture(self, index: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(C, H, W) in [-1, 1] of file `index`; where to crop, then whether to flip, are drawn from `rng`."""
        path = self.folder / self.files[index].name
        try:
            picture = open_picture(path, channels=self.image.channels)
        except Exception as error:
            raise DataError(f"{path}: could be read when the run started, and no longer: {error}") from error
        frame = self.framing.draw(
            (picture.height, picture.width), shape=(self.image.height, self.image.width), rng=rng
        )
        return pixel_values(frame.of(picture))

    def _report(self, failures: dict[str, str], *, skip: bool) -> None:
        """Name the files that cannot be read: all of them when they stop the run, the first ones
        otherwise."""
        told = [f"  {name}: {failure}" for name, failure in sorted(failures.items())]
        head = f"{self.folder}: {len(told)} unreadable file{'s' if len(told) > 1 else ''}"
        if not skip:
            remedy = "mend or remove them, or set `unreadable: skip`"
            raise DataError("\n".join([f"{head}; {remedy}:", *told]))
        more = [f"  … and {len(told) - NAMED} more"] if len(told) > NAMED else []
        warnings.warn("\n".join([f"{head} skipped:", *told[:NAMED], *more]), stacklevel=2)

    def _warn_of_small(self, outcomes: list[Outcome]) -> None:
        """Say how many pictures have fewer pixels than the model's: enlarging them blurs what is learned."""
        height, width = self.image.height, self.image.width
        small = sum(outcome.height < height or outcome.width < width for outcome in outcomes)
        if small:
            warnings.warn(
                f"{self.folder}: {small} of {len(outcomes)} pictures are smaller than {height}×{width} "
                "and are enlarged",
                stacklevel=2,
            )
