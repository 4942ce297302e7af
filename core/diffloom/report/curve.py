"""A column of figures as a curve of bounded size: its smoothed course, and how far the figures stray from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

MOST_POINTS = 400
"""Points of a curve; more rows are drawn together, so that a page of a million rows stays small."""
HALF_LIFE_SHARE = 0.01
"""Half-life of the smoothed course, as a share of all rows."""


@dataclass(frozen=True)
class Curve:
    """Points in the order of their steps; each stands for one row, or for several that follow each other."""

    steps: NDArray[np.float64]
    """The last step of each point's rows."""
    low: NDArray[np.float64]
    """The least of each point's figures."""
    mean: NDArray[np.float64]
    high: NDArray[np.float64]
    """The largest."""
    smooth: NDArray[np.float64]
    """The smoothed course at the last of them."""
    rows: int
    """How many figures went in."""


def curve(
    steps: NDArray[np.int64],
    values: NDArray[np.float64],
    *,
    smooths: bool = True,
    most_points: int = MOST_POINTS,
) -> Curve:
    """The curve of a column. Figures that are no numbers are left out: the curve goes on behind them."""
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    half_life_rows = max(1.0, HALF_LIFE_SHARE * len(values))
    smooth = smoothed(values, half_life_rows=half_life_rows) if smooths else values
    groups = np.array_split(np.arange(len(values)), min(most_points, len(values))) if len(values) else []
    first = np.array([group[0] for group in groups], dtype=np.int64)
    last = np.array([group[-1] for group in groups], dtype=np.int64)
    counts = last - first + 1
    empty = np.empty(0)
    return Curve(
        steps=steps[last].astype(np.float64),
        low=np.minimum.reduceat(values, first) if len(first) else empty,
        mean=np.add.reduceat(values, first) / counts if len(first) else empty,
        high=np.maximum.reduceat(values, first) if len(first) else empty,
        smooth=smooth[last],
        rows=len(values),
    )


def smoothed(values: NDArray[np.float64], *, half_life_rows: float) -> NDArray[np.float64]:
    """Exponential means of all values so far, divided by their weights' sum, so that the first one is itself."""
    decay = 0.5 ** (1 / half_life_rows)
    weights = 1 - decay ** np.arange(1, len(values) + 1)  # (1 − d)·(1 + d + … + dᵏ⁻¹)
    means: NDArray[np.float64] = (
        lfilter([1 - decay], [1, -decay], values) / weights if len(values) else values
    )
    return means
