"""Figures for what the digits demo draws, by judges that know nothing of diffusion.

Legend: N images, H height, W width; images are float in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC

Images = NDArray[np.floating]
Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Figures:
    """What the judges say."""

    judge_accuracy: float
    """Share of held-out real digits that the classifier, fitted on the real training split, names correctly."""
    accuracy: float
    """Share of samples that it names as the class that was asked for."""
    spread: float
    """Per-class pixel standard deviation of the samples over the real one; the least of the ten classes."""
    nearness: float
    """Median distance of a sample to its nearest training image, over the same for held-out real images."""
    copies: float
    """Share of samples nearer to a training image than 99 % of held-out real images are."""

    def lines(self) -> list[str]:
        """One line for each figure, with what it should be."""
        return [
            f"classifier on held-out real digits   {self.judge_accuracy:7.1%}   (at least 97 %, or it cannot judge)",
            f"samples it names as requested        {self.accuracy:7.1%}   (at least 95 %)",
            f"least per-class spread, vs real      {self.spread:7.1%}   (at least 60 %: no collapse)",
            f"distance to training set, vs real    {self.nearness:7.1%}   (near 100 %: neither copies nor strangers)",
            f"samples nearer than 99 % of real     {self.copies:7.1%}   (near 1 %: no copying)",
        ]


def judge(
    *,
    samples_NHW: Images,
    asked_N: Labels,
    train_NHW: Images,
    train_labels_N: Labels,
    heldout_NHW: Images,
    heldout_labels_N: Labels,
) -> Figures:
    """Judge samples against the real training split and the real images that were never trained on."""
    samples, train, heldout = (flat(images) for images in (samples_NHW, train_NHW, heldout_NHW))
    classifier = SVC(C=10.0, gamma="scale").fit(train, train_labels_N)
    neighbours = NearestNeighbors(n_neighbors=1).fit(train)
    drawn_distances, real_distances = (neighbours.kneighbors(x)[0][:, 0] for x in (samples, heldout))
    return Figures(
        judge_accuracy=float(classifier.score(heldout, heldout_labels_N)),
        accuracy=float(classifier.score(samples, asked_N)),
        spread=min(
            float(
                samples[asked_N == label].std(axis=0).mean()
                / train[train_labels_N == label].std(axis=0).mean()
            )
            for label in np.unique(train_labels_N)
        ),
        nearness=float(np.median(drawn_distances) / np.median(real_distances)),
        copies=float(np.mean(drawn_distances < np.quantile(real_distances, 0.01))),
    )


def flat(images_NHW: Images) -> NDArray[np.float64]:
    """Each image as one row."""
    return images_NHW.reshape(len(images_NHW), -1).astype(np.float64)
