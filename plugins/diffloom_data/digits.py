"""The configuration of scikit-learn's digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from diffloom.errors import DataError
from diffloom.kinds import Data, Examples, ImageInfo

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

SHAPE = ImageInfo(height=8, width=8, channels=1)


class Digits(Data):
    """scikit-learn's 1,797 handwritten digits: real scans, 8×8, grey, inside the package.

    The condition `label` is the digit. The held-out share keeps the proportions of the ten digits; `train`
    and `heldout` of the same `holdout` and `seed` never have an image in common and together are `all`.
    """

    name = "digits"

    split: Literal["train", "heldout", "all"] = "train"
    """Which images: those to train on, those kept for evaluation, or both."""
    holdout: Annotated[float, Field(ge=0.01, le=0.99)] = 0.2
    """Share of the images that `heldout` keeps from `train`."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Chooses which images are held out."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(split="heldout", holdout=0.1, seed=3), cls(split="all"))

    @property
    def deterministic(self) -> bool:
        return True

    def build(self, *, image: ImageInfo) -> Examples:
        """Load the images. Raises DataError when the picture is not 8×8 with one channel."""
        if image.shape != SHAPE.shape:
            raise DataError(
                f"digits are 8×8 with 1 channel, and the picture is {image.height}×{image.width} with "
                f"{image.channels}: set `image: {{size: 8, channels: 1}}`"
            )
        from diffloom_data.digit_examples import DigitExamples

        return DigitExamples(split=self.split, holdout=self.holdout, seed=self.seed)
