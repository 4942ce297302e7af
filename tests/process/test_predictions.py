"""Predictions: each conversion undoes its own target, for every schedule and time; diffusers' velocity is ours."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from diffloom.kinds import Conversion, Prediction
from diffloom.process import (
    X0,
    CosineSchedule,
    Epsilon,
    EpsilonPrediction,
    LinearSchedule,
    ScaledLinearSchedule,
    TableSchedule,
    V,
    VPrediction,
    X0Prediction,
)

PREDICTIONS: list[Conversion] = [Epsilon(), X0(), V()]
SCHEDULES = [
    LinearSchedule().build(),
    ScaledLinearSchedule().build(),
    CosineSchedule().build(),
    TableSchedule([0.5]),
]
predictions = st.sampled_from(PREDICTIONS)
schedules = st.sampled_from(SCHEDULES)
unit = st.floats(0, 1)
pixel = st.floats(-10, 10)


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(prediction=predictions, schedule=schedules, u=unit, x0=pixel, eps=pixel)
def test_conversion_undoes_the_target(
    prediction: Conversion, schedule: TableSchedule, u: float, x0: float, eps: float
) -> None:
    """At any time, fractional ones included. Errors: float64's, enlarged by 1/alpha or 1/sigma where it divides."""
    t = doubles(u * (schedule.steps - 1))
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    x_t = alpha * x0 + sigma * eps
    found_x0, found_eps = prediction.x0_eps(
        prediction.target(doubles(x0), doubles(eps), alpha, sigma), x_t, alpha, sigma
    )
    atol = 1e-14 / float(torch.minimum(alpha, sigma))
    torch.testing.assert_close(found_x0, doubles(x0), rtol=0, atol=atol)
    torch.testing.assert_close(found_eps, doubles(eps), rtol=0, atol=atol)


@given(prediction=predictions, schedule=schedules, u=unit, output=pixel, x_t=pixel)
def test_x0_and_eps_give_x_t_back(
    prediction: Conversion, schedule: TableSchedule, u: float, output: float, x_t: float
) -> None:
    """Whatever the network says: alpha·x₀ + sigma·ε = x_t, and the target of (x₀, ε) is the output again."""
    t = doubles(u * (schedule.steps - 1))
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    x0, eps = prediction.x0_eps(doubles(output), doubles(x_t), alpha, sigma)
    torch.testing.assert_close(alpha * x0 + sigma * eps, doubles(x_t), rtol=0, atol=1e-14)
    torch.testing.assert_close(prediction.target(x0, eps, alpha, sigma), doubles(output), rtol=0, atol=1e-13)


@given(pair=st.tuples(predictions, predictions), schedule=schedules, u=unit, output=pixel, x_t=pixel)
def test_converting_to_another_prediction_and_back(
    pair: tuple[Conversion, Conversion], schedule: TableSchedule, u: float, output: float, x_t: float
) -> None:
    one, other = pair
    t = doubles(u * (schedule.steps - 1))
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    x0_eps = one.x0_eps(doubles(output), doubles(x_t), alpha, sigma)
    again = other.x0_eps(other.target(*x0_eps, alpha, sigma), doubles(x_t), alpha, sigma)
    # two divisions, each enlarging float64's rounding of numbers up to 20 / min(alpha, sigma)
    atol = 1e-13 / float(torch.minimum(alpha, sigma)) ** 2
    for value, expected in zip(again, x0_eps, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=atol)


@given(x0=pixel, eps=pixel, alpha=st.floats(0.1, 3), sigma=st.floats(0.1, 100))
def test_v_inverts_where_the_variance_is_not_preserved(
    x0: float, eps: float, alpha: float, sigma: float
) -> None:
    """alpha² + sigma² ≠ 1, as in variance-exploding and flow schedules."""
    v = V().target(doubles(x0), doubles(eps), alpha, sigma)
    found = V().x0_eps(v, doubles(alpha * x0 + sigma * eps), alpha, sigma)
    atol = 1e-12 * (1 + sigma / alpha)
    torch.testing.assert_close(found[0], doubles(x0), rtol=0, atol=atol)
    torch.testing.assert_close(found[1], doubles(eps), rtol=0, atol=atol)


@pytest.mark.parametrize("t", [0, 1, 250, 500, 999])
def test_v_is_diffusers_velocity(t: int) -> None:
    """Its add_noise and get_velocity, on its float32 table; ours gets the same table, so float32 rounding is left."""
    peer = DDPMScheduler()
    schedule = TableSchedule(peer.alphas_cumprod)
    x0, eps = torch.randn(2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0)).unbind()
    times = torch.full((4,), t)
    level = schedule.levels([t])[0]
    expected = peer.get_velocity(x0, eps, times)  # type: ignore[arg-type]
    ours = V().target(x0, eps, level.alpha, level.sigma)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("component", "runtime"), [(EpsilonPrediction, Epsilon), (X0Prediction, X0), (VPrediction, V)]
)
def test_components_build_their_conversion(component: type[Prediction], runtime: type) -> None:
    assert type(component().build()) is runtime
