"""Which levels are computed whole. Oracles: equation 9 of Ma et al. 2023 as it is written, and counting."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.nn import Deep
from diffloom_caching import DeepFeatures
from diffloom_caching.memory import RememberingNetwork


@given(
    levels=st.integers(1, 200),
    every=st.integers(1, 30),
    center=st.floats(0, 1),
    power=st.floats(1, 3),
)
def test_one_level_in_every_so_many(levels: int, every: int, center: float, power: float) -> None:
    whole = DeepFeatures(every=every, center=center, power=power).whole(levels)
    assert len(whole) == math.ceil(levels / every)
    assert whole[0] == 0
    assert all(earlier < later for earlier, later in pairwise(whole))
    assert whole[-1] < levels


@given(levels=st.integers(1, 200), every=st.integers(1, 30), center=st.floats(0, 1))
def test_even_is_every_nth(levels: int, every: int, center: float) -> None:
    assert DeepFeatures(every=every, center=center).whole(levels) == tuple(range(0, levels, every))


@pytest.mark.parametrize(("every", "center", "power"), [(5, 15, 1.4), (10, 10, 1.2), (5, 35, 1.3)])
def test_uneven_is_equation_9(every: int, center: int, power: float) -> None:
    """Of 50 levels, where no two coincide and nothing had to give way."""
    signed = [-(center ** (1 / power)), (50 - center) ** (1 / power)]
    line = np.linspace(*signed, 50 // every + 1)[:-1]
    wanted = np.floor(np.sign(line) * np.abs(line) ** power + center + 1e-9).astype(int)
    assert DeepFeatures(every=every, center=center / 50, power=power).whole(50) == tuple(wanted.tolist())


class Asked(nn.Module):
    """Computes nothing but the number of its whole computations."""

    depths = 1

    def __init__(self) -> None:
        super().__init__()
        self.whole: list[float] = []

    def forward(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition, *, deep: Deep) -> Tensor:
        def inside() -> Tensor:
            self.whole.append(t_B[0].item())
            return x_BCHW

        return deep(inside)


def computed_whole(times: list[float], calls: list[float], whole: set[int]) -> list[float]:
    """At which of these calls everything was computed."""
    network = Asked()
    remembering = RememberingNetwork(network, depth=1, times=times, whole=whole)
    for t in calls:
        remembering.at(t)(torch.zeros(1), torch.tensor([t]), Condition())
    return network.whole


TIMES = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0]


@pytest.mark.parametrize(
    ("what", "calls", "wanted"),
    [
        ("one call a level", TIMES, [9.0, 6.0]),
        (
            "Heun's two: at the level, and where the step arrives",
            [9, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4],
            [9, 6, 6],
        ),
        ("two, the second between two levels", [9, 8.5, 8, 7.5, 7, 6.5, 6, 5.5, 5], [9, 8.5, 6, 5.5]),
        ("a condition that was left out in between", [9, 8, 5, 4], [9, 5]),
        ("back up in one stretch", [9, 8, 7, 8, 7], [9]),
        ("back up beyond what is known", [7, 8, 7], [7, 8]),
        ("back up to another stretch", [9, 6, 5, 7, 6, 5], [9, 6, 7, 6]),
        ("churn, above the first level", [9.5, 8.25, 7], [9.5, 8.25]),
    ],
)
def test_the_time_decides(what: str, calls: list[float], wanted: list[float]) -> None:
    assert computed_whole(TIMES, calls, {0, 3}) == wanted, what
