"""Schedules with tables against the project's table of ground truth and against diffusers, in float64 and float32."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from diffusers import DDPMScheduler
from diffusers.schedulers import scheduling_ddpm
from pydantic import ValidationError

from diffloom.kinds import TimeAxis
from diffloom.process import (
    ConstantSchedule,
    CosineSchedule,
    ExponentialSchedule,
    LaplaceSchedule,
    LinearSchedule,
    Posterior,
    ScaledLinearSchedule,
    SigmoidBetaSchedule,
    SigmoidSchedule,
    SqrtSchedule,
    TableSchedule,
)

# ground truth, computed with the originals' code: β₁, β_T, ᾱ₁, ᾱ₅₀₀, ᾱ_T, smallest and largest sigma/alpha
FIGURES = {
    "linear": (LinearSchedule(), "1e-4 2e-2 0.9999 0.07858724 4.035830e-05 0.010001 157.407281"),
    "scaled_linear": (
        ScaledLinearSchedule(),
        "8.5e-4 1.2e-2 0.99915 0.27766965 4.660099e-03 0.029167 14.614641",
    ),
    "ldm .0195": (
        ScaledLinearSchedule(beta_start=0.0015, beta_end=0.0195),
        "1.5e-3 1.95e-2 0.9985 0.11584449 1.423040e-04 0.038759 83.822494",
    ),
    "ldm .0155": (
        ScaledLinearSchedule(beta_start=0.0015, beta_end=0.0155),
        "1.5e-3 1.55e-2 0.9985 0.15107742 6.686652e-04 0.038759 38.658981",
    ),
    "ldm .0205": (
        ScaledLinearSchedule(beta_start=0.0015, beta_end=0.0205),
        "1.5e-3 2.05e-2 0.9985 0.10857600 9.691087e-05 0.038759 101.576376",
    ),
    "cosine": (
        CosineSchedule(),
        "4.128422e-05 0.999 0.99995872 0.49384359 2.428767e-09 0.006425 20291.1696",
    ),
    "cosine 4000": (
        CosineSchedule(steps=4000),
        "9.865819e-06 0.999 0.99999013 0.49384359 1.517980e-10 0.003141 81164.65",
    ),
    "sigmoid": (SigmoidSchedule(), "3.002792e-04 0.999 0.99969972 0.5 3.002792e-07 0.017331 1824.89"),
    "sigmoid_beta": (
        SigmoidBetaSchedule(),
        "1.492052e-04 1.995079e-02 0.99985079 0.30193106 3.968182e-05 0.012216 158.743",
    ),
    "laplace, diffusers'": (
        LaplaceSchedule(rooted=True),
        "2.115376e-02 0.8472526 0.97884624 0.70746016 3.162278e-02 0.147006 5.533785",
    ),
    "exponential": (
        ExponentialSchedule(),
        "1.192829e-02 1.192829e-02 0.98807171 0.00247875 6.144212e-06 0.109874 403.4276",
    ),
}

PEERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "linear": (LinearSchedule, {"beta_schedule": "linear"}),
    "scaled_linear": (
        ScaledLinearSchedule,
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    ),
    "cosine": (CosineSchedule, {"beta_schedule": "squaredcos_cap_v2"}),
    "sigmoid_beta": (SigmoidBetaSchedule, {"beta_schedule": "sigmoid"}),
    "laplace": (partial(LaplaceSchedule, rooted=True), {"beta_schedule": "laplace"}),
}


@pytest.mark.parametrize("case", FIGURES)
def test_published_figures(case: str) -> None:
    """Every printed digit agrees: the tolerance is half a unit in each figure's last place."""
    component, printed = FIGURES[case]
    schedule = component.build()
    T = schedule.steps
    ends = torch.tensor([0, T - 1])
    ratio = schedule.sigma(ends) / schedule.alpha(ends)
    bar = schedule.alpha_bar
    ours = (*_betas(schedule)[[0, -1]], bar[0], bar[T // 2 - 1], bar[-1], *ratio)
    for value, figure in zip(ours, printed.split(), strict=True):
        mantissa, _, exponent = figure.partition("e")
        digits = len(mantissa.partition(".")[2])
        half_unit = 0.5 * 10.0 ** (int(exponent or 0) - digits)
        assert float(value) == pytest.approx(float(figure), abs=half_unit * (1 + 1e-6), rel=0)


@pytest.mark.parametrize("steps", [1, 2, 10, 1000, 4000])
@pytest.mark.parametrize(
    "name", sorted(set(PEERS) - {"sigmoid_beta"})
)  # whose line is float32 whatever is asked for
def test_diffusers_in_float64(name: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' own class computes float32 tables; run with float64 in float32's place, it gives ours to 1e-12."""
    component, options = PEERS[name]
    monkeypatch.setattr(scheduling_ddpm, "torch", _DoubleTorch())
    peer = DDPMScheduler(num_train_timesteps=steps, **options)
    assert peer.alphas_cumprod.dtype == torch.float64
    ours = component(steps=steps).build()
    torch.testing.assert_close(ours.alpha_bar, peer.alphas_cumprod, rtol=1e-12, atol=0)
    times = torch.arange(steps)
    torch.testing.assert_close(ours.alpha(times), peer.alphas_cumprod.sqrt(), rtol=1e-12, atol=0)
    # 1 - ᾱ loses ᾱ's last bits where ᾱ is near 1, hence the absolute tolerance: an ulp of 1 each
    torch.testing.assert_close(ours.sigma(times) ** 2, 1 - peer.alphas_cumprod, rtol=1e-12, atol=5e-16)


@pytest.mark.parametrize("name", PEERS)
def test_diffusers_as_it_is(name: str) -> None:
    """The unmodified class agrees as far as float32 goes: 1000 roundings of 6e-8, random in sign, and β's own."""
    component, options = PEERS[name]
    peer = DDPMScheduler(num_train_timesteps=1000, **options)
    torch.testing.assert_close(component().build().alpha_bar, peer.alphas_cumprod.double(), rtol=5e-5, atol=0)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_length_is_the_tables(name: str, steps: int) -> None:
    component = PEERS[name][0](steps=steps)
    assert component.axis == component.build().axis == TimeAxis.table(steps)


def test_sums_agree_with_exact_arithmetic() -> None:
    """log ᾱ_T as a sum of logs, an order of operations that shares no rounding with the running product."""
    betas = np.linspace(1e-4, 2e-2, 1000)
    assert float(LinearSchedule().build().alpha_bar[-1]) == pytest.approx(
        np.exp(np.log1p(-betas).sum()), rel=1e-12
    )


@pytest.mark.parametrize("field", ["beta_start", "beta_end"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, float("nan")])
def test_betas_outside_0_1_are_refused(field: str, value: float) -> None:
    for component in (LinearSchedule, ScaledLinearSchedule):
        with pytest.raises(ValidationError, match=field):
            component(**{field: value})


def test_a_schedule_that_underflows_is_refused() -> None:
    with pytest.raises(ValueError, match="ᾱ must fall"):
        LinearSchedule(beta_start=0.9, beta_end=0.99).build()


def test_linear_over_4000_times_as_openai_scales_it() -> None:
    """guided-diffusion divides both ends by T/1000, printed as 2.5e-5 and 0.005; ours are given so."""
    schedule = LinearSchedule(steps=4000, beta_start=2.5e-5, beta_end=0.005).build()
    betas = _betas(schedule)
    assert (float(betas[0]), float(betas[-1])) == pytest.approx((2.5e-5, 0.005), rel=1e-9)
    # the same noise at the end, but for the second order of β: exp(−Σβ) with Σβ² a quarter as large
    assert float(schedule.alpha_bar[-1]) == pytest.approx(
        float(LinearSchedule().build().alpha_bar[-1]), rel=0.2
    )


def test_posterior_variances_of_linear() -> None:
    """Printed: β̃ is 0 at index 0, 5.453188e-05 at 1, 8.548912e-05 at 2 and 0.01999998 at the end."""
    levels = LinearSchedule().build().levels([999, 998, 2, 1, 0])

    def variance(current: int) -> float:
        return Posterior.between(levels[current], levels[current + 1]).variance

    assert variance(4) == 0
    assert variance(3) == pytest.approx(5.453188e-05, abs=5e-12)
    assert variance(2) == pytest.approx(8.548912e-05, abs=5e-12)
    assert variance(0) == pytest.approx(0.01999998, abs=5e-9)


def test_sqrt_is_latent_diffusions() -> None:
    """`linspace(start, end) ** 0.5`, its one line, in numpy."""
    schedule = SqrtSchedule(steps=50, beta_start=1e-6, beta_end=4e-4).build()
    np.testing.assert_allclose(_betas(schedule), np.linspace(1e-6, 4e-4, 50) ** 0.5, rtol=1e-12)


def test_constant_is_a_power() -> None:
    schedule = ConstantSchedule(steps=40, beta=0.05).build()
    np.testing.assert_allclose(schedule.alpha_bar, 0.95 ** np.arange(1, 41), rtol=1e-12)


def test_laplace_is_the_papers() -> None:
    """The log-SNR at u is the Laplace distribution's quantile 1 − u, scipy's."""
    component = LaplaceSchedule(mu=-0.3, b=0.7)
    u = np.array([0.01, 0.2, 0.5, 0.81, 0.99])
    signal = np.array([component.signal(share) for share in u])
    quantiles = scipy.stats.laplace.ppf(1 - u, loc=-0.3, scale=0.7)
    # the 1e-6 that keeps the ends finite, over the least tail probability asked for, 0.02
    np.testing.assert_allclose(np.log(signal / (1 - signal)), quantiles, atol=0.7 * 1e-6 / 0.02 * 1.01)


def test_a_sigmoid_that_rises_is_refused() -> None:
    with pytest.raises(ValidationError, match="end -1 must lie above start 3"):
        SigmoidSchedule(start=3.0, end=-1.0)


class _DoubleTorch:
    """torch, except that its float32 is float64."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def _betas(schedule: TableSchedule) -> torch.Tensor:
    bar = torch.cat([torch.ones(1, dtype=torch.float64), schedule.alpha_bar])
    return 1 - bar[1:] / bar[:-1]
