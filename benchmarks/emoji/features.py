"""What two small pictures have in common, without a learned network: where which colour is, and which way edges run.

Legend: N pictures, H height, W width, C channels, K orientations, F features.
"""

import numpy as np
from numpy.typing import NDArray

CELLS = 8
"""Cells to a side, for colours and for edges."""
ORIENTATIONS = 8
"""Bins of half a turn."""


def features(pictures_NHWC: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, F): mean colour of every cell, and its histogram of gradient orientations (Dalal & Triggs 2005), both halves
    of one length on the average, so that neither outweighs the other.
    """
    pixels = pictures_NHWC.astype(np.float64) / 255
    colours = cells(pixels).reshape(len(pixels), -1)
    edges = orientations(pixels.mean(-1)).reshape(len(pixels), -1)
    return np.concatenate(
        [part / np.linalg.norm(part, axis=1).mean() for part in (colours - 1, edges)], axis=1
    )


def cells(values_NHWC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over CELLS × CELLS cells."""
    n, height, width, channels = values_NHWC.shape
    shape = (n, CELLS, height // CELLS, CELLS, width // CELLS, channels)
    return values_NHWC.reshape(shape).mean(axis=(2, 4))


def orientations(grey_NHW: NDArray[np.float64]) -> NDArray[np.float64]:
    """The gradients' lengths by orientation, cell by cell; square roots, as strong edges would drown the rest."""
    down, right = np.gradient(grey_NHW, axis=(1, 2))
    bins_NHW = (np.arctan2(down, right) % np.pi / np.pi * ORIENTATIONS).astype(int) % ORIENTATIONS
    length_NHW = np.hypot(down, right)
    by_bin_NHWK = np.where(bins_NHW[..., None] == np.arange(ORIENTATIONS), length_NHW[..., None], 0.0)
    return np.sqrt(cells(by_bin_NHWK))


def nearest(samples_NF: NDArray[np.float64], training_NF: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each sample the index of the training picture at the smallest distance."""
    squares = (training_NF**2).sum(1) - 2 * samples_NF @ training_NF.T
    return squares.argmin(1)
