"""When steps are too long. Oracle: losses made up by the rule that they are judged by.

Legend: B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from diffloom.process import Draws
from diffloom.sentinel.finding import Alarm
from diffloom.sentinel.learning_rate import FEWEST, MOVED, WINDOW, LearningRate
from diffloom.sentinel.weight_sample import WeightSample
from diffloom.training.step import Taken
from diffloom.training.task import Losses

Curve = Callable[[int], float]


def heard(
    curve: Curve, *, windows: int = 4, moved: float = 0.0, jumps: float = 0.0, size: int = 32, seed: int = 0
) -> Iterator[Alarm]:
    """A run whose examples cost `curve(step)` on average, times a log-normal number of their own and one of their step;
    its weights become 1 + `moved` times as large in each window."""
    rng = np.random.default_rng(seed)
    weights = nn.ParameterList([nn.Parameter(torch.ones(3, 5)), nn.Parameter(torch.zeros(4, 4))])
    watch = LearningRate(WeightSample(list(weights)))
    for step in range(1, windows * WINDOW + 1):
        each = curve(step) * rng.lognormal(0, 0.8, size) * np.exp(jumps * rng.standard_normal())
        with torch.no_grad():
            weights[0].mul_((1 + moved) ** (1 / WINDOW))
            weights[1].add_(1.0)  # zero at the beginning: what it learns is not compared with that
        losses = Losses(torch.from_numpy(each).float())
        watch.heard(Taken(step, Draws(()), losses, torch.tensor(1.0), 0.1))
        yield from watch.judged()


def falling(step: int) -> float:
    return 0.2 + float(np.exp(-step / 20))


@given(seed=st.integers(0, 10_000), size=st.integers(1, 64), moved=st.floats(0, 3))
def test_examples_alone_are_no_jumps(seed: int, size: int, moved: float) -> None:
    """However costly some examples are, and whatever the weights do: a loss that falls to where it stays."""
    assert not list(heard(falling, seed=seed, size=size, moved=moved))


def test_jumps_that_the_examples_do_not_explain() -> None:
    (alarm, *_) = heard(falling, moved=1.0, jumps=1.0)
    assert alarm.cause == "learning-rate-too-high"
    assert alarm.text.startswith("in steps 1 to 25 the loss jumps ")
    assert (
        "the weights move by 100% of their size in 25 steps; lower train.lr (the rate was 0.1)" in alarm.text
    )


def test_jumps_of_steps_that_are_short_have_another_cause() -> None:
    """Data that come sorted by class jump too."""
    assert not list(heard(falling, moved=0.9 * MOVED, jumps=1.0))


@pytest.mark.parametrize(
    ("curve", "windows"),
    [
        (lambda step: 1.0 if step <= 50 else 1.6, 3),
        (lambda step: falling(step) if step <= 75 else 0.9, 4),
    ],
    ids=["worse than at the beginning", "what was learned is lost"],
)
def test_a_loss_that_rises(curve: Curve, windows: int) -> None:
    (alarm,) = heard(curve, windows=windows, moved=2 * MOVED)
    assert " and is " in alarm.text
    assert not list(heard(curve, windows=windows, moved=MOVED / 2))


def test_a_loss_that_becomes_another_one_is_not_compared() -> None:
    weights = nn.Parameter(torch.ones(2, 2))
    watch = LearningRate(WeightSample([weights]))
    for step in range(1, 4 * WINDOW + 1):
        with torch.no_grad():
            weights.mul_(1.01)
        if step == 2 * WINDOW + 5:
            watch.forget()
        each_B = torch.full((FEWEST,), 1.0 if step < 2 * WINDOW + 5 else 9.0)
        watch.heard(Taken(step, Draws(()), Losses(each_B), torch.tensor(1.0), 0.1))
        assert not list(watch.judged())


def test_steps_that_were_not_taken_are_not_judged() -> None:
    weights = nn.Parameter(torch.ones(2, 2))
    watch = LearningRate(WeightSample([weights]))
    for step in range(1, WINDOW + 1):
        losses = Losses(torch.full((FEWEST,), float("inf")))
        watch.heard(Taken(step, Draws(()), losses, torch.tensor(1.0), 0.1, updated=False))
    assert not list(watch.judged())
