"""Where guidance pulls, and how strongly over time. Oracles: the papers' definitions, and counted calls."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import TimeAxis
from diffloom.process import Denoised, Epsilon, Level, LinearSchedule, Strength, denoiser
from diffloom.process.strength import PROFILES
from diffloom_guidance import ClassifierFree, ClassifierFreeGuidance

Steer = Callable[..., Callable[[Tensor, Level], Denoised]]
SCHEDULE = LinearSchedule().build()
X = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("interval", "inside"),
    [
        (None, [0.1, 0.5, 2.0, math.inf]),
        ((0.1, 2.0), [0.5, 2.0]),
        ((0.0, 0.5), [0.1, 0.5]),
        ((0.5, None), [2.0, math.inf]),
    ],
)
def test_the_interval_is_open_below_and_closed_above(
    interval: tuple[float, float | None] | None, inside: list[float]
) -> None:
    """σ ∈ (σ_lo, σ_hi] (Kynkäänniemi et al. 2024), of sigma/alpha: σ itself where alpha is 1."""
    strength = Strength(scale=2.0, interval=interval)
    levels = {
        0.1: Level(1.0, 1.0, 0.1),
        0.5: Level(2.0, 2 / math.sqrt(5), 1 / math.sqrt(5)),
        2.0: Level(3.0, 0.5, 1.0),
        math.inf: Level(4.0, 0.0, 1.0),
    }
    assert [ratio for ratio, level in levels.items() if strength.within(level)] == pytest.approx(inside)


def test_outside_the_interval_only_the_conditional_model_is_called(
    network: type, steered: Steer, asked: Condition, null: Condition
) -> None:
    """Half of the rows are saved there, and the prediction is the plain one bit for bit."""
    net = network()
    denoise = denoiser(net, Epsilon())
    guided = steered(ClassifierFree(strength=Strength(3.0, interval=(0.3, 8.0))), denoise, asked, null)
    levels = SCHEDULE.levels([950, 600, 300, 20])[:-1]
    assert [0.3 < level.ratio <= 8 for level in levels] == [False, True, True, False]
    found = [guided(X, level).x0_BCHW for level in levels]
    assert [len(rows) for rows in net.calls] == [3, 6, 6, 3]
    for i in (0, 3):
        assert torch.equal(found[i], denoise(X, levels[i], asked).x0_BCHW)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_1_on_average(profile: str) -> None:
    """So that scales of different profiles can be compared (Wang et al. 2024). Midpoint sum over the axis."""
    axis = TimeAxis.table(1000)
    strength = Strength(scale=3.0, profile=profile)  # type: ignore[arg-type]
    times = [axis.at((i + 0.5) / 2000) for i in range(2000)]
    mean = sum(strength.factor(Level(t, 0.6, 0.8), axis) for t in times) / len(times)
    assert mean == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("profile", "noisy", "middle", "clean"),
    [("constant", 1.0, 1.0, 1.0), ("linear", 0.0, 1.0, 2.0), ("cosine", 0.0, 1.0, 2.0)],
)
def test_a_profile_rises_towards_the_clean_end(
    profile: str, noisy: float, middle: float, clean: float
) -> None:
    axis = TimeAxis(-2.0, 6.0, None)
    strength = Strength(scale=3.0, profile=profile)  # type: ignore[arg-type]
    found = [strength.factor(Level(t, 0.6, 0.8), axis) for t in (6.0, 2.0, -2.0)]
    assert found == pytest.approx([noisy, middle, clean], abs=1e-15)


@given(share=st.floats(0, 1), scale=st.floats(-5, 20), other=st.floats(1.5, 20))
def test_the_excess_is_that_of_the_scale_over_1(share: float, scale: float, other: float) -> None:
    """Each row's own; a row of scale 1 has none at any time."""
    axis = TimeAxis(0.0, 1.0, None)
    strength = Strength(scale=(scale, 1.0, other), profile="cosine")
    found = strength.excess(Level(share, 0.6, 0.8), axis, X)
    factor = 1 + math.cos(math.pi * share)
    assert found.shape == (3, 1, 1, 1)
    wanted = torch.tensor([factor * (scale - 1), 0.0, factor * (other - 1)], dtype=torch.float64)
    assert torch.equal(found.flatten(), wanted)


def test_a_schedule_of_one_time_is_all_noise() -> None:
    assert Strength(profile="linear").factor(Level(0.0, 0.1, 0.9), TimeAxis.table(1)) == 0.0


@pytest.mark.parametrize("interval", [(2.0, 1.0), (1.0, 1.0)])
def test_an_interval_that_holds_nothing_is_refused(interval: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="holds no σ; give the lower one first"):
        ClassifierFreeGuidance(interval=interval)
