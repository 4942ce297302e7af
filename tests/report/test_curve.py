"""Curves of bounded size. Oracle: the definitions, summed directly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from diffloom.report.curve import curve, smoothed

VALUES = arrays(
    np.float64, st.integers(0, 60), elements=st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf])
)


@given(values=VALUES, most_points=st.integers(1, 20))
def test_nothing_is_lost_between_the_points(values: np.ndarray, most_points: int) -> None:
    steps = 3 * np.arange(1, len(values) + 1)
    found = curve(steps, values, most_points=most_points)
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    assert found.rows == len(values)
    assert len(found.steps) == min(most_points, len(values))
    if not len(values):
        return
    assert found.low.min() == values.min()
    assert found.high.max() == values.max()
    assert found.steps[-1] == steps[-1]
    first = np.searchsorted(steps, np.concatenate([[0], found.steps[:-1]]), side="right")
    last = np.searchsorted(steps, found.steps, side="right")
    for point, (begin, end) in enumerate(zip(first, last, strict=True)):
        group = values[begin:end]
        assert (found.low[point], found.high[point]) == (group.min(), group.max())
        assert found.mean[point] == pytest.approx(group.mean(), rel=1e-12, abs=1e-9)


@given(
    values=arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3)),
    half_life_rows=st.floats(1, 50),
)
def test_the_smoothed_course_is_a_weighted_mean(values: np.ndarray, half_life_rows: float) -> None:
    wanted = []
    for last in range(len(values)):
        weights = 0.5 ** (np.arange(last, -1, -1) / half_life_rows)
        wanted.append(weights @ values[: last + 1] / weights.sum())
    # lfilter sums in another order: a rounding for each of at most 40 terms, over weights that sum to 0.014 or more.
    assert smoothed(values, half_life_rows=half_life_rows) == pytest.approx(
        np.array(wanted), rel=1e-9, abs=1e-9
    )


def test_a_constant_stays_what_it_is() -> None:
    found = curve(np.arange(1000), np.full(1000, 0.3), most_points=7)
    assert found.smooth == pytest.approx(np.full(7, 0.3), rel=1e-12)


def test_what_is_no_measurement_is_not_smoothed() -> None:
    values = np.linspace(0, 1, 100) ** 2
    assert np.array_equal(curve(np.arange(100), values, smooths=False).smooth, values)
    assert not np.array_equal(curve(np.arange(100), values).smooth, values)
