"""Quadratic times, quantiles and sections: printed grids, the originals' lines in numpy, and laws."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from diffloom.kinds import TimeAxis, TimeSpacing
from diffloom_spacings import Beta, Quadratic, Sections

T1000 = TimeAxis.table(1000)
UNIT = TimeAxis(0.0, 1.0, None)


@pytest.mark.parametrize("steps", [2, 5, 10, 14])
def test_quadratic_is_ddims(steps: int) -> None:
    """`linspace(0, sqrt(0.8·T), N) ** 2` cut off, its one line in numpy, where that visits no time twice."""
    wanted = (np.linspace(0, np.sqrt(1000 * 0.8), steps) ** 2).astype(int)
    assert len(set(wanted.tolist())) == steps
    assert list(Quadratic().times(axis=T1000, steps=steps)) == wanted[::-1].tolist()
    assert list(Quadratic(offset=1).times(axis=T1000, steps=steps)) == (wanted[::-1] + 1).tolist()


def test_quadratic_moves_only_what_came_twice() -> None:
    """DDIM's 50 of 1000 begin 0, 0, 1, 2, 5: ours 0, 1, 2, 3, 5, and are its own from there."""
    wanted = (np.linspace(0, np.sqrt(800), 50) ** 2).astype(int).tolist()
    times = Quadratic().times(axis=T1000, steps=50)[::-1]
    assert wanted[:5] == [0, 0, 1, 2, 5]
    assert times[:5] == (0, 1, 2, 3, 5)
    assert list(times[4:]) == wanted[4:]


def test_quadratic_of_continuous_times() -> None:
    assert Quadratic(reach=1.0).times(axis=UNIT, steps=5) == pytest.approx((1, 9 / 16, 1 / 4, 1 / 16, 0))
    with pytest.raises(ValueError, match="are not counted"):
        Quadratic(offset=1).times(axis=UNIT, steps=5)
    with pytest.raises(ValueError, match="would start at time 1001, and the schedule ends at 999"):
        Quadratic(reach=1.0, offset=1).times(axis=T1000, steps=10)
    assert Quadratic(reach=1.0).times(axis=T1000, steps=10)[0] == 999


@pytest.mark.parametrize("steps", [1, 2, 10, 20])
def test_beta_is_comfyuis(steps: int) -> None:
    """round(quantile(1 − linspace(0, 1, N, endpoint=False))·(T − 1)) with alpha = beta = 0.6, in numpy and scipy."""
    places = 1 - np.linspace(0, 1, steps, endpoint=False)
    wanted = np.rint(scipy.stats.beta.ppf(places, 0.6, 0.6) * 999)
    assert list(Beta().times(axis=T1000, steps=steps)) == wanted.tolist()


def test_beta_is_denser_at_both_ends() -> None:
    times = Beta().times(axis=UNIT, steps=40)
    gaps = [earlier - later for earlier, later in pairwise(times)]
    assert gaps[0] < gaps[20] > gaps[-1]
    even = Beta(alpha=1.0, beta=1.0).times(axis=UNIT, steps=4)
    assert even == pytest.approx((1.0, 0.75, 0.5, 0.25)), "the uniform distribution's quantiles"


@given(
    spacing=st.sampled_from([Quadratic(), Quadratic(reach=0.1), Beta(), Beta(alpha=0.1, beta=2.0)]),
    length=st.integers(2, 2000),
    share=st.floats(0, 1),
)
def test_times_are_distinct_however_dense(spacing: TimeSpacing, length: int, share: float) -> None:
    steps = 2 + round(share * (length - 2))
    times = spacing.times(axis=TimeAxis.table(length), steps=steps)
    assert len(times) == steps
    assert all(later < earlier for earlier, later in pairwise(times))
    assert 0 <= times[-1] < times[0] <= length - 1
    assert all(time.is_integer() for time in times)


def test_printed_sections() -> None:
    """guided-diffusion's space_timesteps, as the ground truth prints it."""

    def rising(sections: str | tuple[int, ...], length: int, steps: int) -> list[int]:
        times = Sections(sections=sections).times(axis=TimeAxis.table(length), steps=steps)
        return [int(time) for time in reversed(times)]

    quarter = rising("250", 1000, 250)
    assert (quarter[:4], quarter[-3:]) == ([0, 4, 8, 12], [991, 995, 999])
    fifty = rising("50", 1000, 50)
    assert (fifty[:4], fifty[-3:]) == ([0, 20, 41, 61], [958, 979, 999])
    assert rising("ddim50", 1000, 50) == list(range(0, 1000, 20))
    three = rising((10, 15, 20), 300, 45)
    assert (three[:3], len(three)) == ([0, 11, 22], 45)
    assert rising("10,15,20", 300, 45) == three
    assert [sum(100 * i <= t < 100 * (i + 1) for t in three) for i in range(3)] == [10, 15, 20]


@pytest.mark.parametrize("counts", [(25,), (7, 1, 30), (10, 15, 20), (1, 1), (3, 3, 3, 3)])
def test_sections_are_guided_diffusions(counts: tuple[int, ...]) -> None:
    """Its loop, told in a few lines: places added up stride by stride and rounded, sections longer by one at first."""
    length, wanted, start = 103, [], 0
    for number, count in enumerate(counts):
        size = length // len(counts) + (1 if number < length % len(counts) else 0)
        place, stride = 0.0, (size - 1) / (count - 1) if count > 1 else 1.0
        for _ in range(count):
            wanted.append(start + round(place))
            place += stride
        start += size
    times = Sections(sections=counts).times(axis=TimeAxis.table(length), steps=sum(counts))
    assert list(reversed(times)) == wanted


def test_what_sections_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"these sections are 45 steps: set sampling\.steps to that"):
        Sections(sections="10,15,20").times(axis=T1000, steps=50)
    with pytest.raises(ValueError, match="a section of 5 times has no room for 9 steps"):
        Sections(sections=(9, 1)).times(axis=TimeAxis.table(10), steps=10)
    with pytest.raises(ValueError, match="no whole stride takes 300 of 1000 times"):
        Sections(sections="ddim300").times(axis=T1000, steps=300)
    with pytest.raises(ValueError, match="this schedule's are not counted"):
        Sections(sections="10").times(axis=UNIT, steps=10)
    for wrong in ("", "10,", "ddim", "ddim10,5", "0", "a"):
        with pytest.raises(ValidationError):
            Sections(sections=wrong)
