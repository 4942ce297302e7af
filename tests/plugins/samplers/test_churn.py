"""How far churn raises a level. Oracle: Karras et al. 2022, algorithm 2, in sigma/alpha; the schedule's own end."""

from __future__ import annotations

import math

import pytest

from diffloom.process import CosineSchedule, Level, LinearSchedule
from diffloom.testing.closed_forms import GaussianData, normal
from diffloom.testing.course import course_of
from diffloom_samplers.fresh_noise import Churn

LINEAR = LinearSchedule().build()
LEVELS = LINEAR.levels([999, 700, 400, 100])


def raised(churn: Churn, level: Level) -> Level:
    course = course_of(normal((1, 1, 2, 2)), LEVELS, GaussianData(0.2, 0.5), at=LINEAR.level)
    higher, _ = churn.raised(level, course)
    return higher


@pytest.mark.parametrize(("s_churn", "gamma"), [(0.4, 0.1), (1.2, 0.3), (99.0, math.sqrt(2) - 1)])
def test_beyond_the_noisiest_level_the_network_is_shown_its_time(s_churn: float, gamma: float) -> None:
    """sigma/alpha is exact, the time is the nearest that there is; elsewhere both are those of the schedule."""
    churn = Churn(s_churn=s_churn)
    for level in LEVELS[:-1]:
        higher = raised(churn, level)
        assert higher.ratio == pytest.approx((1 + gamma) * level.ratio, rel=1e-9)
        if level is LEVELS[0]:
            assert higher.t == level.t
        else:
            (known, _) = LINEAR.levels([higher.t])
            assert level.t < higher.t < 999
            assert known.ratio == pytest.approx(higher.ratio, rel=1e-9)


@pytest.mark.parametrize("s_churn", [0.4, 1.2, 99.0])
@pytest.mark.parametrize("schedule", [LinearSchedule(), CosineSchedule()], ids=lambda s: s.name)
def test_as_small_an_s_max_as_its_field_says_keeps_levels_within_the_schedule(
    schedule: LinearSchedule | CosineSchedule, s_churn: float
) -> None:
    """At the very bound the noisiest level is reached; just below the bound noise is added still."""
    built = schedule.build()
    noisiest, _ = built.levels([built.axis.last])
    growth = min(1 + s_churn / 4, math.sqrt(2))
    churn = Churn(s_churn=s_churn, s_max=noisiest.ratio / growth)
    course = course_of(normal((1, 1, 2, 2)), LEVELS, GaussianData(0.2, 0.5), at=built.level)
    for share, touched in ((0.999, True), (1.001, False)):
        level = built.level(-2 * math.log(share * noisiest.ratio / growth))
        higher, std = churn.raised(level, course)
        assert higher.ratio <= noisiest.ratio
        assert (higher.ratio > level.ratio) is touched
        assert (std > 0) is touched
