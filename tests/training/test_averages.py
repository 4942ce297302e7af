"""Averages beside the weights. Oracle: closed forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from diffloom.kinds import EMA
from diffloom.training.ema import Average


class Shares(EMA):
    """What remains at each step, listed."""

    name = "shares"
    shares: tuple[float, ...]

    def remaining(self, step: int, *, batch_size: int) -> float:
        assert batch_size == 8
        return self.shares[step - 1]


STEPS = st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 1)), min_size=1, max_size=20)


@given(STEPS)
def test_is_the_weighted_sum_of_all_weights(steps: list[tuple[float, float]]) -> None:
    """Σᵢ wᵢ · (1 − rᵢ) · Π_{j>i} rⱼ, the first weights being w₀ with r₀ = 0."""
    shares = [0.0, *(share for _, share in steps)]
    values = [1.0, *(value for value, _ in steps)]
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    average = Average([weight], Shares(shares=tuple(shares[1:])), batch_size=8)
    for step, value in enumerate(values[1:], 1):
        weight.data.fill_(value)
        average.update(step)
    expected, rest = 0.0, 1.0
    for value, share in zip(reversed(values), reversed(shares), strict=True):
        expected += rest * (1 - share) * value
        rest *= share
    with average.applied():
        assert weight.item() == pytest.approx(expected, abs=1e-12)
    assert weight.item() == values[-1]  # applied() gave the weight back


def test_several_do_not_touch_each_other() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    frozen, copied = (Average([weight], Shares(shares=(share,)), batch_size=8) for share in (1.0, 0.0))
    weight.data.copy_(torch.tensor([5.0, 6.0]))
    frozen.update(1)
    copied.update(1)
    with frozen.applied():
        assert weight.tolist() == [1.0, 2.0]
        weight.data.zero_()  # as loading a checkpoint into it does
    with copied.applied():
        assert weight.tolist() == [5.0, 6.0]
    with frozen.applied():
        assert weight.tolist() == [0.0, 0.0]
    assert weight.tolist() == [5.0, 6.0]
