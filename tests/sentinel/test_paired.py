"""Paired costs. Oracles: numpy on the same shares, and the symmetry of what is paired. Legend: B batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffloom.sentinel.conditions import ERRORS, FEWEST, USEFUL, tells_nothing
from diffloom.sentinel.paired import Paired

COSTS = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=2, max_size=20)


@given(COSTS, st.integers(1, 19))
def test_mean_and_error_are_those_of_the_shares(costs: list[tuple[float, float]], cut: int) -> None:
    one_B, other_B = torch.tensor(costs, dtype=torch.float64).unbind(1)
    shares = [(a - b) / (a + b) if a + b else 0.0 for a, b in costs]
    parts = [Paired.of(one_B[:cut], other_B[:cut]), Paired.of(one_B[cut:], other_B[cut:])]
    joined = sum(parts, Paired())
    assert joined.count == len(costs)
    assert joined.mean == pytest.approx(np.mean(shares), abs=1e-12)
    # The sum of squares less the square of the sum loses half of float64's digits where all are equal.
    assert joined.error == pytest.approx(np.std(shares, ddof=1) / math.sqrt(len(shares)), abs=1e-7)


@given(COSTS)
def test_the_other_way_round_is_the_opposite(costs: list[tuple[float, float]]) -> None:
    one_B, other_B = torch.tensor(costs, dtype=torch.float64).unbind(1)
    there, back = Paired.of(one_B, other_B), Paired.of(other_B, one_B)
    assert there.mean == pytest.approx(-back.mean, abs=1e-12)
    assert -1 <= there.mean <= 1
    assert (there + back).mean == pytest.approx(0, abs=1e-12)


def test_of_none_nothing_is_known() -> None:
    assert Paired().mean == 0
    assert math.isinf(Paired().error)
    assert not tells_nothing(Paired())


@pytest.mark.parametrize(
    ("gain", "told"), [(0.0, (0.99, 1.0)), (USEFUL, (0.0, 0.005))], ids=["nothing", "enough"]
)
def test_how_often_a_condition_is_called_useless(gain: float, told: tuple[float, float]) -> None:
    """Shares with the spread that digits have, 0.022, three looks at 64 examples each: Φ(−3) = 0.0013 by chance."""
    rng = np.random.default_rng(0)
    called = [
        tells_nothing(Paired(FEWEST + 92, float(drawn.sum()), float((drawn**2).sum())))
        for drawn in rng.normal(gain, 0.022, (4000, FEWEST + 92))
    ]
    assert ERRORS == 3
    assert told[0] <= np.mean(called) <= told[1]
