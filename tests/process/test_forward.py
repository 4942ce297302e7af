"""The forward process: moments of q(x_t | x₀), and the posterior against Bayes' rule and printed figures."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import assume, given
from hypothesis import strategies as st

from diffloom.process import (
    CLEAN,
    CosineSchedule,
    Draws,
    Level,
    LinearSchedule,
    Posterior,
    ScaledLinearSchedule,
    TableSchedule,
    alpha_sigma,
    noised,
)

LINEAR = LinearSchedule().build()
SCHEDULES = [LINEAR, ScaledLinearSchedule().build(), CosineSchedule().build()]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["linear", "scaled_linear", "cosine"])
@pytest.mark.parametrize("t", [0, 200, 500, 999])
def test_moments(schedule: TableSchedule, t: int) -> None:
    """10⁵ draws have mean √ᾱ·x₀ and variance 1 − ᾱ; bounds at 5 standard errors, false alarms below 1 in 10⁶ each."""
    count, x0 = 100_000, 0.7
    draws = Draws.of(t, [0])
    x_t = noised(
        torch.full((1, count), x0, dtype=torch.float64),
        draws.normal("noise", (count,), dtype=torch.float64),
        schedule.alpha(torch.tensor(t)),
        schedule.sigma(torch.tensor(t)),
    )
    bar = float(schedule.alpha_bar[t])
    assert float(x_t.mean()) == pytest.approx(math.sqrt(bar) * x0, abs=5 * math.sqrt((1 - bar) / count))
    assert float(x_t.var()) == pytest.approx(1 - bar, rel=5 * math.sqrt(2 / (count - 1)))


def test_noised_is_diffusers_add_noise() -> None:
    """Mixed times in one batch, on its own float32 table."""
    peer = DDPMScheduler()
    schedule = TableSchedule(peer.alphas_cumprod)
    x0, eps = torch.randn(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0)).unbind()
    times = torch.tensor([0, 1, 400, 998, 999])
    alpha, sigma = alpha_sigma(schedule, times, x0)
    expected = peer.add_noise(x0, eps, times)  # type: ignore[arg-type]
    torch.testing.assert_close(noised(x0, eps, alpha, sigma), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 4, 5)])
def test_alpha_sigma_are_cast_once(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """The float64 table rounded to the picture's dtype, one value for each row, ready to broadcast."""
    times = torch.tensor([0.0, 500.0, 999.0])
    like = torch.zeros(shape, dtype=dtype)
    for value, function in zip(alpha_sigma(LINEAR, times, like), (LINEAR.alpha, LINEAR.sigma), strict=True):
        assert value.shape == (3, *[1] * (len(shape) - 1))
        assert torch.equal(value.flatten(), function(times).to(dtype))


def test_posterior_variance_figures() -> None:
    """β̃ of the linear schedule as printed in the ground truth, within half a unit of the last digit."""
    levels = LINEAR.levels(range(1000))[:-1]
    assert Posterior.between(levels[0], CLEAN).variance == 0.0
    for t, figure, half_unit in ((1, 5.453188e-05, 5e-12), (2, 8.548912e-05, 5e-12), (999, 0.01999998, 5e-9)):
        assert Posterior.between(levels[t], levels[t - 1]).variance == pytest.approx(figure, abs=half_unit)
    assert math.log(Posterior.between(levels[1], levels[0]).variance) == pytest.approx(-9.816725, abs=5e-7)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["linear", "scaled_linear", "cosine"])
def test_single_steps_are_eq_7_of_ho(schedule: TableSchedule) -> None:
    """The paper's own formulas from β, ᾱ_t and ᾱ_{t−1}, at every t > 1."""
    bars = schedule.alpha_bar.tolist()
    levels = schedule.levels(range(1000))
    for t in range(1, 1000):
        bar, previous = bars[t], bars[t - 1]
        beta = 1 - bar / previous
        posterior = Posterior.between(levels[t], levels[t - 1])
        # 1e-10: the paper's β = 1 − ᾱ_t/ᾱ_{t−1} itself cancels to 1e-12 where β is 1e-4
        assert posterior.x0 == pytest.approx(math.sqrt(previous) * beta / (1 - bar), rel=1e-10)
        assert posterior.x_t == pytest.approx(math.sqrt(1 - beta) * (1 - previous) / (1 - bar), rel=1e-10)
        assert posterior.variance == pytest.approx((1 - previous) / (1 - bar) * beta, rel=1e-10)
        assert posterior.beta == pytest.approx(beta, rel=1e-10)


@given(
    schedule=st.sampled_from(SCHEDULES),
    times=st.tuples(st.floats(0, 999), st.floats(0, 999)),
    x0=st.floats(-3, 3),
    x_t=st.floats(-3, 3),
)
def test_any_stride_is_bayes_rule(
    schedule: TableSchedule, times: tuple[float, float], x0: float, x_t: float
) -> None:
    """Precision-weighted product of q(x_s | x₀) and q(x_t | x_s), a derivation that eq. 7 does not go through."""
    s, t = sorted(times)
    following, current = schedule.levels([s, t])[:2]
    shrink = current.alpha / following.alpha
    added = current.sigma**2 - (shrink * following.sigma) ** 2
    assume(added > 1e-6)  # Bayes' rule as written here divides by this difference of near-equal numbers
    precision = shrink**2 / added + 1 / following.sigma**2
    mean = (shrink * x_t / added + following.alpha * x0 / following.sigma**2) / precision
    posterior = Posterior.between(current, following)
    assert posterior.variance == pytest.approx(1 / precision, rel=1e-8)
    assert posterior.beta == pytest.approx(added, rel=1e-8)
    found = posterior.mean(torch.tensor(x_t, dtype=torch.float64), torch.tensor(x0, dtype=torch.float64))
    assert float(found) == pytest.approx(mean, rel=1e-8, abs=1e-8)


@given(
    schedule=st.sampled_from(SCHEDULES),
    times=st.lists(st.integers(0, 999), min_size=2, max_size=2, unique=True),
)
def test_posterior_keeps_the_forward_marginal(schedule: TableSchedule, times: list[int]) -> None:
    """x_s drawn from the posterior of x_t ~ q(x_t | x₀) has the law of q(x_s | x₀): alpha_s·x₀ and sigma_s²."""
    t, s = sorted(times, reverse=True)
    current, following, _ = schedule.levels([t, s])
    posterior = Posterior.between(current, following)
    assert posterior.x0 + posterior.x_t * current.alpha == pytest.approx(following.alpha, rel=1e-12)
    spread = posterior.variance + (posterior.x_t * current.sigma) ** 2
    assert spread == pytest.approx(following.sigma**2, rel=1e-12)


def test_variance_exploding_levels() -> None:
    """alpha = 1 throughout: the added variance is the difference of the variances (Song et al. 2021, eq. 46 ff.)."""
    posterior = Posterior.between(Level(t=1.0, alpha=1.0, sigma=5.0), Level(t=0.0, alpha=1.0, sigma=3.0))
    assert posterior.beta == pytest.approx(16)
    assert posterior.variance == pytest.approx(9 * 16 / 25)
    assert (posterior.x_t, posterior.x0) == (pytest.approx(9 / 25), pytest.approx(16 / 25))


def test_into_the_clean_level_the_posterior_is_x0() -> None:
    posterior = Posterior.between(LINEAR.levels([500])[0], CLEAN)
    assert (posterior.x_t, posterior.x0, posterior.variance) == (0.0, 1.0, 0.0)


def test_no_signal_left_means_x_t_tells_nothing() -> None:
    """Zero terminal signal-to-noise ratio: alpha_T = 0, so x_s follows from x₀ alone."""
    last, middle, _ = TableSchedule([0.5, 0.0]).levels([1, 0])
    posterior = Posterior.between(last, middle)
    assert (posterior.x_t, posterior.x0, posterior.variance) == (0.0, middle.alpha, middle.sigma**2)
