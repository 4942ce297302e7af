"""Brownian paths by their keys, against the laws that define Brownian motion.

Statistics are of 40,000 pixels or more and bounded at 5 standard errors: a false alarm in 2·10⁶ for each, 1.2·10⁻⁵ for
the file. Draws are keyed, so that a test that passes once always passes.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffloom.process import CLEAN, Draws, KeyedNoise, Level
from diffloom.process.brownian import DEPTH, REACH, BrownianTree, Point
from diffloom.testing.closed_forms import exploding, exploding_at, flowing, preserving, preserving_at

SHAPE = (1, 200, 200)
COUNT = math.prod(SHAPE)
PURE = Level(999.0, 0.0, 1.0)
SPACING = 2 * REACH / 2**DEPTH
snrs = st.floats(-20, 20)


def noise(*samples: int, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float64) -> KeyedNoise:
    return KeyedNoise(Draws.of(3, samples or (0,)), shape, dtype=dtype)


def stretch(start: Level, end: Level) -> float:
    """The std of the path's increment, from the levels as they are."""
    return math.sqrt(math.exp(end.log_snr) - (math.exp(start.log_snr) if start.alpha else 0.0))


def expect_standard_normal(z: Tensor) -> None:
    """Mean, variance, third and fourth moment of N(0, 1), whose sixth and eighth are 15 and 105."""
    n = z.numel()
    moments = {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)}  # of z^k: mean and variance
    for power, (mean, variance) in moments.items():
        assert abs(float((z**power).mean()) - mean) < 5 * math.sqrt(variance / n), power


@pytest.mark.parametrize("levels", [preserving(12), exploding(12), flowing(12)], ids=["vp", "ve", "flow"])
def test_increments_are_standard_normal_and_independent(levels: tuple[Level, ...]) -> None:
    """Over disjoint stretches, the first of which begins where no signal is left."""
    ours = noise()
    walk = (PURE, *levels[:-1])
    increments = torch.cat([ours.between(*stride) for stride in pairwise(walk)]).flatten(1)
    for z in increments:
        expect_standard_normal(z)
    correlations = (increments @ increments.T / COUNT)[
        *torch.triu_indices(len(increments), len(increments), 1)
    ]
    assert float(correlations.abs().max()) < 6 / math.sqrt(COUNT)  # 66 of them: a false alarm in 7·10⁶


@given(a=snrs, b=snrs, c=snrs)
@settings(max_examples=50, deadline=None)
def test_increments_add_up(a: float, b: float, c: float) -> None:
    """W(c) − W(a) = (W(b) − W(a)) + (W(c) − W(b)), asked for in any order, from trees that remember other points.

    Points are rounded to SPACING, which changes the std of a stretch of length h by SPACING/h of itself.
    """
    a, b, c = sorted((a, b, c))
    if min(b - a, c - b) < 0.01:
        return
    low, middle, high = (preserving_at(snr) for snr in (a, b, c))
    whole = noise(shape=(8,)).between(low, high)
    ours = noise(shape=(8,))
    second, first = ours.between(middle, high), ours.between(low, middle)
    parts = stretch(low, middle) * first + stretch(middle, high) * second
    torch.testing.assert_close(stretch(low, high) * whole, parts, rtol=0, atol=0.02 * stretch(low, high))
    tree, points = BrownianTree(Draws.of(3, [0]), (8,)), [Point.nearest(snr) for snr in (a, b, c)]
    exact = [
        math.sqrt(end.q - start.q) * tree.increment(start, end)
        for start, end in ((points[0], points[1]), (points[1], points[2]), (points[0], points[2]))
    ]
    torch.testing.assert_close(exact[0] + exact[1], exact[2], rtol=0, atol=1e-12 * math.sqrt(points[2].q))


def test_the_path_is_the_samples_and_not_the_steps() -> None:
    """A walk of 2N steps over the same levels follows the path of N: its increments sum to theirs, on any schedule."""
    fine = [exploding_at(snr / 4) for snr in range(-36, 45)]
    coarse = fine[::2]
    ours = noise(0, 1, shape=(6,))
    path = torch.cumsum(torch.stack([stretch(*s) * ours.between(*s) for s in pairwise(fine)]), 0)
    other = torch.cumsum(torch.stack([stretch(*s) * ours.between(*s) for s in pairwise(coarse)]), 0)
    # levels at quarters of log-SNR are points of the tree, so nothing is rounded
    torch.testing.assert_close(path[1::2], other, rtol=1e-12, atol=1e-12)


def test_a_stretch_is_the_covariance_of_overlapping_increments() -> None:
    """Cov(W(b) − W(a), W(d) − W(c)) is the length of what they share: here [b, c] of a < b < c < d."""
    levels = [preserving_at(snr) for snr in (-1.0, 0.3, 0.9, 1.7)]
    one, two = noise().between(levels[0], levels[2]), noise().between(levels[1], levels[3])
    a, b, c, d = (math.exp(level.log_snr) for level in levels)
    expected = (c - b) / math.sqrt((c - a) * (d - b))
    error = math.sqrt((1 + expected**2) / COUNT)
    assert abs(float((one * two).mean()) - expected) < 5 * error


def test_a_sample_is_the_same_alone_and_in_a_batch_and_in_any_type() -> None:
    stride = preserving(20)[4:6]
    together = noise(5, 9, 2, shape=(2, 3, 4)).between(*stride)
    for row, sample in enumerate((5, 9, 2)):
        assert torch.equal(noise(sample, shape=(2, 3, 4)).between(*stride), together[row : row + 1])
    single = noise(5, 9, 2, shape=(2, 3, 4), dtype=torch.float32).between(*stride)
    assert single.dtype == torch.float32
    assert torch.equal(single, together.float())
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(KeyedNoise(Draws.of(4, [5]), (2, 3, 4)).between(*stride), single[:1])


def test_what_was_asked_before_changes_nothing() -> None:
    walk = preserving(9)[:-1]
    fresh = [noise(shape=(5,)).between(*stride) for stride in pairwise(walk)]
    once = noise(shape=(5,))
    backwards = [once.between(*stride) for stride in reversed(list(pairwise(walk)))]
    for a, b in zip(fresh, reversed(backwards), strict=True):
        assert torch.equal(a, b)


def test_a_step_costs_a_known_number_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most DEPTH + 1 for each level of a walk, since the level before is remembered; the first one costs as much."""
    drawn: list[int] = []
    plain = Draws.normal

    def counting(self: Draws, *args: object, **options: object) -> Tensor:
        drawn.append(self.step)
        return plain(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Draws, "normal", counting)
    ours = noise(shape=(2,))
    costs = []
    for stride in pairwise(preserving(30)[:-1]):
        ours.between(*stride)
        costs.append(len(drawn))
        drawn.clear()
    assert DEPTH + 1 == 23
    assert DEPTH + 1 < costs[0] <= 2 * (DEPTH + 1)
    assert max(costs[1:]) <= DEPTH + 1


def test_the_clean_level_and_levels_too_close_are_refused() -> None:
    one = preserving_at(2.0)
    with pytest.raises(ValueError, match="end at the clean level"):
        noise().between(one, CLEAN)
    with pytest.raises(ValueError, match="one point of the Brownian path"):
        noise().between(one, preserving_at(2.0 + SPACING / 4))
    noise(shape=(2,)).between(one, preserving_at(2.0 + 2 * SPACING))


def test_what_is_noisier_than_the_tree_reaches_is_pure_noise() -> None:
    """There SNR is 10⁻⁵⁶: what that leaves out of an increment is 10⁻²⁷ of its std, or less."""
    end = preserving_at(-3.0)
    assert torch.equal(
        noise(shape=(4,)).between(PURE, end), noise(shape=(4,)).between(exploding_at(-140.0), end)
    )
    inside = noise(shape=(4,)).between(exploding_at(-124.0), end)
    torch.testing.assert_close(noise(shape=(4,)).between(PURE, end), inside, rtol=0, atol=1e-12)
