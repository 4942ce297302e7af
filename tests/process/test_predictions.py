"""Predictions: each conversion undoes its own target, for every schedule and time; peers' formulas are ours."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from diffloom.kinds import Conversion, NoiseSchedule, Prediction
from diffloom.process import (
    X0,
    CosineSchedule,
    EDMPrediction,
    EDMSchedule,
    Epsilon,
    EpsilonPrediction,
    FlowPrediction,
    FlowSchedule,
    FlowVelocity,
    LinearSchedule,
    Posterior,
    PosteriorMean,
    PosteriorMeanPrediction,
    Preconditioned,
    ScaledLinearSchedule,
    Score,
    ScorePrediction,
    TableSchedule,
    V,
    VPrediction,
    VPSchedule,
    X0Prediction,
    ZeroTerminalSNRSchedule,
)

PREDICTIONS: list[Conversion] = [
    Epsilon(),
    X0(),
    V(),
    Score(),
    FlowVelocity(),
    Preconditioned(sigma_data=0.5),
]
LINEAR = LinearSchedule().build()
SCHEDULES: list[NoiseSchedule] = [
    LINEAR,
    ScaledLinearSchedule().build(),
    CosineSchedule().build(),
    TableSchedule([0.5]),
    VPSchedule().build(),
    EDMSchedule().build(),
    FlowSchedule(first=0.01).build(),
]
predictions = st.sampled_from(PREDICTIONS)
schedules = st.sampled_from(SCHEDULES)
unit = st.floats(0, 0.999)
pixel = st.floats(-10, 10)


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def at(schedule: NoiseSchedule, u: float) -> tuple[torch.Tensor, torch.Tensor]:
    t = doubles(schedule.axis.at(u))
    return schedule.alpha(t), schedule.sigma(t)


@given(prediction=predictions, schedule=schedules, u=unit, x0=pixel, eps=pixel)
def test_conversion_undoes_the_target(
    prediction: Conversion, schedule: NoiseSchedule, u: float, x0: float, eps: float
) -> None:
    """At any time, fractional ones included. Errors are float64's, enlarged by the divisions."""
    alpha, sigma = at(schedule, u)
    x_t = alpha * x0 + sigma * eps
    found_x0, found_eps = prediction.x0_eps(
        prediction.target(doubles(x0), doubles(eps), alpha, sigma), x_t, alpha, sigma
    )
    ratio = float(sigma / alpha)
    torch.testing.assert_close(found_x0, doubles(x0), rtol=0, atol=1e-13 * (1 + ratio))
    torch.testing.assert_close(found_eps, doubles(eps), rtol=0, atol=1e-13 * (1 + 1 / ratio))


@given(prediction=predictions, schedule=schedules, u=unit, output=pixel, x_t=pixel)
def test_x0_and_eps_give_x_t_back(
    prediction: Conversion, schedule: NoiseSchedule, u: float, output: float, x_t: float
) -> None:
    """Whatever the network says: alpha·x₀ + sigma·ε = x_t, and the target of (x₀, ε) is the output again."""
    alpha, sigma = at(schedule, u)
    x0, eps = prediction.x0_eps(doubles(output), doubles(x_t), alpha, sigma)
    scale = float((alpha * x0).abs() + (sigma * eps).abs()) + 1
    torch.testing.assert_close(alpha * x0 + sigma * eps, doubles(x_t), rtol=0, atol=1e-15 * scale)
    again = prediction.target(x0, eps, alpha, sigma)
    # rounding of x0 and of x_t, each times what the target makes of it
    bound = float(torch.as_tensor(prediction.gain(alpha, sigma))) * float(
        x0.abs() + doubles(x_t).abs() / alpha
    )
    torch.testing.assert_close(
        again, doubles(output), rtol=1e-12, atol=1e-14 * (1 + bound + 1 / float(sigma) ** 2)
    )


@given(prediction=predictions, schedule=schedules, u=unit, x0=pixel, eps=pixel)
def test_gain_is_the_derivative_of_the_target(
    prediction: Conversion, schedule: NoiseSchedule, u: float, x0: float, eps: float
) -> None:
    """By autograd along the line of equal x_t: ε falls by alpha/sigma as x₀ rises."""
    alpha, sigma = at(schedule, u)
    x = doubles(x0).requires_grad_()
    target = prediction.target(x, doubles(eps) - alpha / sigma * (x - x0), alpha, sigma)
    (slope,) = torch.autograd.grad(target.sum(), x)
    gain = torch.as_tensor(prediction.gain(alpha, sigma)).double().reshape(())
    assert float(slope.abs()) == pytest.approx(float(gain), rel=1e-9)


def test_gains_are_those_of_the_literature() -> None:
    """SNR of x₀-errors: |Δε|² = SNR·|Δx₀|²; |Δv|² = (SNR + 1)·|Δx₀|² (Salimans & Ho 2022, 4); EDM's λ = gain²."""
    alpha, sigma = 0.6, 0.8
    snr = (alpha / sigma) ** 2
    assert Epsilon().gain(alpha, sigma) ** 2 == pytest.approx(snr)
    assert V().gain(alpha, sigma) ** 2 == pytest.approx(snr + 1)
    for std, weight in (
        (0.5, 8.0),
        (1.0, 5.0),
        (80.0, 4.0001563),
        (0.002, 250004.0),
    ):  # printed λ at sigma_data .5
        assert float(Preconditioned(sigma_data=0.5).gain(1.0, std)) ** 2 == pytest.approx(weight, rel=2e-8)


@pytest.mark.parametrize(
    ("std", "skip", "out", "scale"),
    [
        (0.5, 0.5, 0.3535534, 1.4142136),
        (1.0, 0.2, 0.4472136, 0.8944272),
        (80.0, 3.906097e-05, 0.4999902, 0.0124998),
    ],
)
def test_printed_preconditioning(std: float, skip: float, out: float, scale: float) -> None:
    """c_skip, c_out and c_in of Karras et al. 2022 at sigma_data = 0.5, as the ground truth prints them."""
    edm = Preconditioned(sigma_data=0.5)
    assert float(edm.x0_eps(doubles(0.0), doubles(1.0), 1.0, std)[0]) == pytest.approx(skip, rel=1e-6)
    assert float(edm.x0_eps(doubles(1.0), doubles(0.0), 1.0, std)[0]) == pytest.approx(out, rel=2e-7)
    assert edm.scale_in(1.0, std) == pytest.approx(scale, rel=4e-6)


@pytest.mark.parametrize("sigma", [0.03, 0.7, 14.0])
def test_scalings_of_sgm(sigma: float) -> None:
    """Its (c_skip, c_out) in Karras' x = x_t/alpha: ε (1, −σ); v (1/(σ²+1), −σ/√(σ²+1)); c_in is alpha."""
    alpha = 1 / math.sqrt(sigma**2 + 1)
    x, output = doubles(0.3), doubles(-1.7)
    for conversion, skip, out in (
        (Epsilon(), 1.0, -sigma),
        (V(), 1 / (sigma**2 + 1), -sigma / math.sqrt(sigma**2 + 1)),
    ):
        x0, _ = conversion.x0_eps(output, x * alpha, alpha, sigma * alpha)
        torch.testing.assert_close(x0, skip * x + out * output, rtol=1e-12, atol=1e-14)


@given(output=pixel, x_t=pixel, angle=st.floats(0.01, 1.57))
def test_edm_of_unit_data_is_minus_v(output: float, x_t: float, angle: float) -> None:
    """With sigma_data = 1 on a schedule that preserves the variance F is −v, and c_in does nothing."""
    alpha, sigma = math.cos(angle), math.sin(angle)
    edm = Preconditioned(sigma_data=1.0)
    ours = edm.x0_eps(doubles(output), doubles(x_t), alpha, sigma)
    theirs = V().x0_eps(doubles(-output), doubles(x_t), alpha, sigma)
    for value, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-13)
    assert edm.scale_in(alpha, sigma) == pytest.approx(1)


@given(t=st.integers(0, 999), x0=pixel, eps=pixel)
def test_posterior_mean_is_that_of_the_step(t: int, x0: float, eps: float) -> None:
    """`Posterior.between` neighbouring times, and x₀ itself into the clean level."""
    levels = LINEAR.levels([t, t - 1] if t else [0])
    x_t = levels[0].alpha * x0 + levels[0].sigma * eps
    wanted = Posterior.between(levels[0], levels[1]).mean(doubles(x_t), doubles(x0))
    came = PosteriorMean(LINEAR).target(doubles(x0), doubles(eps), levels[0].alpha, levels[0].sigma)
    torch.testing.assert_close(came, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", [0, 1, 2, 500, 998, 999])
def test_posterior_mean_is_openais(t: int) -> None:
    """improved-diffusion's PREVIOUS_X, x₀ = x_{t−1}/c₁ − (c₂/c₁)·x_t, with its coefficients of eq. 7."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    bar = (1 - betas).cumprod(0)
    before = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])[t]
    c1 = betas[t] * before.sqrt() / (1 - bar[t])
    c2 = (1 - before) * (1 - betas[t]).sqrt() / (1 - bar[t])
    output, x_t = doubles(0.7, -0.2), doubles(0.1, 0.9)
    wanted = output / c1 - c2 / c1 * x_t
    (level, _) = LINEAR.levels([t])
    came, _ = PosteriorMean(LINEAR).x0_eps(output, x_t, level.alpha, level.sigma)
    torch.testing.assert_close(came, wanted, rtol=1e-7, atol=1e-9)
    assert PosteriorMean(LINEAR).gain(level.alpha, level.sigma) == pytest.approx(float(c1), rel=1e-7)


def test_posterior_mean_in_float32() -> None:
    """Training rounds alpha and sigma, from which the time is found: what is asked and what is answered still agree."""
    mean = PosteriorMean(LINEAR)
    t = torch.arange(1000)
    alpha, sigma = LINEAR.alpha(t).float(), LINEAR.sigma(t).float()
    x0, eps = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)).unbind()
    found, _ = mean.x0_eps(mean.target(x0, eps, alpha, sigma), alpha * x0 + sigma * eps, alpha, sigma)
    # rounding of x_t and μ̃, 1e-7 each, divided by a gain of down to 1e-3
    torch.testing.assert_close(found, x0, rtol=0, atol=1e-3)
    exact = torch.as_tensor(mean.gain(LINEAR.alpha(t), LINEAR.sigma(t)))
    torch.testing.assert_close(torch.as_tensor(mean.gain(alpha, sigma)).double(), exact, rtol=2e-3, atol=0)


def test_posterior_mean_at_pure_noise_and_without_times() -> None:
    table = ZeroTerminalSNRSchedule(schedule=LinearSchedule()).build()
    mean = PosteriorMean(table)
    x0, eps = doubles(0.4), doubles(-1.0)
    (found, noise) = mean.x0_eps(mean.target(x0, eps, 0.0, 1.0), eps, 0.0, 1.0)
    torch.testing.assert_close(found, x0, rtol=1e-9, atol=0)
    torch.testing.assert_close(noise, eps, rtol=0, atol=0)
    with pytest.raises(ValueError, match="this schedule's times are not counted"):
        PosteriorMeanPrediction().build(schedule=VPSchedule().build())


@given(x0=pixel, eps=pixel, schedule=schedules, u=unit)
def test_score_is_the_gradient_of_the_density(
    x0: float, eps: float, schedule: NoiseSchedule, u: float
) -> None:
    """Of the normal density of x_t around alpha·x₀, by autograd."""
    alpha, sigma = at(schedule, u)
    x_t = (alpha * x0 + sigma * eps).requires_grad_()
    density = torch.distributions.Normal(alpha * x0, sigma).log_prob(x_t)
    (gradient,) = torch.autograd.grad(density.sum(), x_t)
    wanted = Score().target(doubles(x0), doubles(eps), alpha, sigma)
    # x_t − alpha·x₀ is rounded like x_t, and divided by sigma²
    rounding = 1e-15 * (abs(x0) + abs(eps)) / float(sigma) ** 2 * float(alpha + sigma)
    torch.testing.assert_close(wanted, gradient, rtol=1e-9, atol=10 * rounding + 1e-12)


def test_flow_velocity_is_the_slope_of_the_line() -> None:
    """dx/dt of x_t = (1 − t)·x₀ + t·ε, by a difference, which is exact for a line."""
    x0, eps, schedule = doubles(0.3), doubles(-1.2), FlowSchedule().build()
    (late, early, _) = schedule.levels([0.75, 0.25])
    slope = ((late.alpha * x0 + late.sigma * eps) - (early.alpha * x0 + early.sigma * eps)) / 0.5
    torch.testing.assert_close(
        FlowVelocity().target(x0, eps, late.alpha, late.sigma), slope, rtol=1e-14, atol=0
    )


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
    ("component", "runtime"),
    [
        (EpsilonPrediction(), Epsilon),
        (X0Prediction(), X0),
        (VPrediction(), V),
        (ScorePrediction(), Score),
        (FlowPrediction(), FlowVelocity),
        (EDMPrediction(sigma_data=0.3), Preconditioned),
        (PosteriorMeanPrediction(), PosteriorMean),
    ],
)
def test_components_build_their_conversion(component: Prediction, runtime: type) -> None:
    built: Any = component.build(schedule=LINEAR)
    assert type(built) is runtime
    assert getattr(built, "sigma_data", 0.3) == 0.3
    assert getattr(built, "schedule", LINEAR) is LINEAR
