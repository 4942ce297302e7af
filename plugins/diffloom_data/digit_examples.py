"""The digits as examples. Legend: N images, C channels, H height, W width."""

from __future__ import annotations

from typing import Literal

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from diffloom.kinds import DataInfo, Example


class DigitExamples:
    """Random access to scikit-learn's digits, in the order of that package."""

    def __init__(self, *, split: Literal["train", "heldout", "all"], holdout: float, seed: int) -> None:
        digits = load_digits()
        indices = np.arange(len(digits.target))
        if split != "all":
            train, heldout = train_test_split(
                indices, test_size=holdout, random_state=seed, stratify=digits.target
            )
            indices = np.sort(train if split == "train" else heldout)
        # Grey levels are counts of 0 … 16 ink pixels in a 4×4 block of the scan.
        self.images_NCHW = (digits.images[indices, None] / 8 - 1).astype(np.float32)
        self.labels_N = digits.target[indices]
        self.info = DataInfo(
            examples=len(indices),
            classes={"label": tuple("0123456789")},
            labels={"label": self.labels_N},
        )

    def __len__(self) -> int:
        return len(self.labels_N)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Image `index` and its digit; nothing is random."""
        return Example(
            image_CHW=self.images_NCHW[index].copy(), conditions={"label": int(self.labels_N[index])}
        )
