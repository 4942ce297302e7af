"""DEIS with its polynomial in time: on levels uneven in it the polynomial reaches too far, and the walk is refused.

Oracle: a mixture's exact flow, and the weights of a straight line written out.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from diffloom.kinds import Schedule, Spacing
from diffloom.process import CosineSchedule, LaplaceSchedule, Level
from diffloom.testing.closed_forms import GaussianData, MixtureData, exploding_at, normal
from diffloom.testing.course import course_of, walked
from diffloom_multistep import DEIS
from diffloom_multistep.deis import MOST_GROWTH
from diffloom_spacings import Karras, LogSNRUniform, Trailing


@pytest.mark.parametrize("steps", [8, 16, 40])
@pytest.mark.parametrize("spacing", [Trailing(), LogSNRUniform(), Karras()], ids=lambda s: s.name)
@pytest.mark.parametrize("schedule", [CosineSchedule(), LaplaceSchedule()], ids=lambda s: s.name)
def test_it_is_nearer_than_first_order_or_refused(schedule: Schedule, spacing: Spacing, steps: int) -> None:
    """In log ρ all of these walks are nearer; in time those that are refused were up to 1e5 times as far off."""
    data, built = MixtureData(), schedule.build()
    levels = spacing.levels(built, steps=steps)
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 1, 3, 3)
    start, exact = data.at(levels[0], noise), data.at(levels[-1], noise)

    def error(**options: Any) -> float:
        walk = DEIS(lower_order_final=False, **options)
        end = walked(walk, start, levels, data, at=built.level)[-1].following_BCHW
        return float((end - exact).abs().max())

    first, refused = error(order=1), dict[int, str]()
    for order in (2, 3, 4):
        assert error(order=order) < first
        try:
            assert error(order=order, variable="time") < first
        except ValueError as problem:
            refused[order] = str(problem)
    assert all("uneven in time; take variable: log_rho" in problem for problem in refused.values())
    assert not refused or spacing != Trailing(), "even in time"
    assert refused or schedule.name != "laplace" or spacing == Trailing(), "1e4 and more"
    assert 2 not in refused, "a straight line reaches less far"


@pytest.mark.parametrize(("share", "fits"), [(0.96, True), (1.04, False)])
def test_where_it_ends_is_what_becomes_of_an_error(share: float, fits: bool) -> None:
    """By a straight line through the last two ε, with ρ falling in proportion to time.

    After a step of length 1, one of length h weighs them 1 + h/2 and −h/2 of itself: 1 + h in all.
    """
    h = share * MOST_GROWTH - 1

    def level(ratio: float) -> Level:
        return Level(ratio, 1.0, ratio)

    levels = (level(h + 3), level(h + 2), level(2.0))
    course = course_of(
        normal((1, 1, 2, 2)), levels, GaussianData(0.2, 0.5), at=lambda snr: level(_ratio(snr))
    )
    walk = DEIS(order=2, variable="time", lower_order_final=False)
    if fits:
        (weight,) = walk.weights(course, 1)
        assert weight == pytest.approx(h * h / 2, rel=1e-9)  # of dρ = −h, so that the older one counts h²/2
    else:
        with pytest.raises(ValueError, match=r"error of the network 52 times as large .* take variable"):
            walk.begin(course)


def _ratio(log_snr: float) -> float:
    return exploding_at(log_snr).sigma
