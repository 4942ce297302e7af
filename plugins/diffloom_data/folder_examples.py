"""A folder of pictures as examples. Legend: C channels, H height, W width."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import numpy as np

from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Example, ImageInfo
from diffloom_data.check import Outcome, check_files
from diffloom_data.listing import class_names, picture_files
from diffloom_data.picture import cover, open_picture

NAMED = 20
"""How many skipped files a warning names."""


class FolderExamples:
    """Random access to a folder's pictures, sorted by path. Only their names are held in memory."""

    def __init__(
        self,
        *,
        path: str,
        labels: bool | None,
        crop: Literal["center", "random"],
        flip: bool,
        unreadable: Literal["skip", "refuse"],
        image: ImageInfo,
    ) -> None:
        self.folder = Path(path).expanduser()
        self.random_crop = crop == "random"
        self.flip = flip
        self.image = image
        files, tops = picture_files(self.folder)
        outcomes = check_files(self.folder, files)
        failures = {name: outcome.failure for name, outcome in outcomes.items() if outcome.failure}
        if failures:
            self._report(failures, skip=unreadable == "skip")
        files = [file for file in files if file.name not in failures]
        if not files:
            raise DataError(f"{self.folder}: none of the {len(failures)} pictures in it can be read")
        self._warn_of_small([outcomes[file.name] for file in files])
        classes = class_names(self.folder, files, tops, labels)
        self.names = [file.name for file in files]
        ids = {name: i for i, name in enumerate(classes)}
        self.labels = [ids[file.top] for file in files] if classes else None
        self.info = DataInfo(examples=len(files), classes={"label": classes} if classes else {})

    def __len__(self) -> int:
        return self.info.examples

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Picture `index`; where to crop, then whether to flip, are drawn from `rng`."""
        path = self.folder / self.names[index]
        try:
            picture = open_picture(path, channels=self.image.channels)
        except Exception as error:
            raise DataError(f"{path}: could be read when the run started, and no longer: {error}") from error
        pixels = cover(
            picture,
            height=self.image.height,
            width=self.image.width,
            rng=rng if self.random_crop else None,
        )
        if self.flip and rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        pixels_CHW = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return Example(
            image_CHW=np.ascontiguousarray(pixels_CHW, dtype=np.float32) / np.float32(127.5) - 1,
            conditions={} if self.labels is None else {"label": self.labels[index]},
        )

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
