"""Streaming moments. Oracle: the two-pass closed form over all numbers at once, in float64.

Legend: B batch, C channels, H height, W width, N numbers.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffloom.latents.moments import Moments
from diffloom.process import Draws

# 2000 float64 additions of numbers of one size: a relative error below 2000 · 2⁻⁵³ ≈ 2e-13 of the deviation, plus the
# mean's own rounding, |mean| · 2⁻⁵³ for each batch joined.
TOLERANCE = 1e-12


def latents(count: int, *, channels: int, mean: float, std: float, seed: int) -> torch.Tensor:
    x_BCHW = Draws.of(seed, range(count)).normal("moments", (channels, 3, 2), dtype=torch.float64)
    return mean + std * x_BCHW * torch.arange(1, channels + 1, dtype=torch.float64)[:, None, None]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    channels=st.integers(1, 4),
    offset=st.floats(-1e3, 1e3),
    std=st.floats(1e-2, 1e2),
)
def test_any_split_gives_the_two_pass_moments(
    sizes: list[int], channels: int, offset: float, std: float
) -> None:
    x_BCHW = latents(sum(sizes), channels=channels, mean=offset, std=std, seed=1)
    moments = Moments(channels)
    for part in x_BCHW.split(sizes):
        moments.add(part)
    x_CN = x_BCHW.transpose(0, 1).flatten(1).numpy()
    assert moments.count == x_CN.shape[1]
    tolerance = TOLERANCE * (abs(offset) + std) / std
    np.testing.assert_allclose(moments.mean, x_CN.mean(1), atol=tolerance * std)
    np.testing.assert_allclose(moments.std, x_CN.std(1), rtol=tolerance)
    assert moments.pooled_std == pytest.approx(x_CN.std(), rel=tolerance)


def test_a_large_mean_does_not_cancel() -> None:
    """Deviation 1e-3 around 1e6: the sum of squares beside the squared sum has no digit left of it."""
    x_BCHW = latents(200, channels=1, mean=1e6, std=1e-3, seed=2)
    moments = Moments(1)
    for part in x_BCHW.split(7):
        moments.add(part)
    x = x_BCHW.numpy()
    naive = (x**2).mean() - x.mean() ** 2
    assert naive != pytest.approx(x.var(), rel=0.1)
    assert moments.std == pytest.approx([x.std()], rel=1e-6)  # 1e6 · 2⁻⁵³ / 1e-3 ≈ 1e-7


def test_distributions_count_as_all_of_their_points() -> None:
    """Each mean ± its deviation, in equal halves, has exactly the distribution's first two moments."""
    mean_BCHW = latents(30, channels=2, mean=0.3, std=1.5, seed=3)
    deviation_BCHW = latents(30, channels=2, mean=0, std=0.4, seed=4).abs()
    moments = Moments(2)
    for mean, deviation in zip(mean_BCHW.split(4), deviation_BCHW.split(4), strict=True):
        moments.add(mean, deviation)
    points = torch.cat([mean_BCHW + deviation_BCHW, mean_BCHW - deviation_BCHW])
    x_CN = points.transpose(0, 1).flatten(1).numpy()
    np.testing.assert_allclose(moments.mean, x_CN.mean(1), atol=1e-12)
    np.testing.assert_allclose(moments.std, x_CN.std(1), rtol=1e-12)
    assert moments.pooled_std == pytest.approx(x_CN.std(), rel=1e-12)


def test_float32_latents_are_summed_in_float64() -> None:
    """100,000 float32 numbers around 1000: their float32 mean would be off by far more."""
    x_BCHW = 1000 + Draws.of(5, range(1000)).normal("moments", (1, 10, 10))
    moments = Moments(1)
    for part in x_BCHW.split(64):
        moments.add(part)
    x = x_BCHW.numpy().astype(np.float64)
    assert moments.mean == pytest.approx([x.mean()], rel=1e-13)
    assert moments.std == pytest.approx([x.std()], rel=1e-11)
