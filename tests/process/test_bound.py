"""The bound's pieces against torch's distributions, quadrature, improved-diffusion's tables and the ground truth."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from diffloom.kinds import NoiseSchedule, Schedule
from diffloom.process import (
    CLEAN,
    Chain,
    CosineSchedule,
    Denoised,
    FixedSmall,
    LearnedRange,
    LinearSchedule,
    Posterior,
    ScaledLinearSchedule,
    TableSchedule,
    VPSchedule,
    bits,
    normal_kl,
    pixel_log_likelihood,
    prior_bits,
    step_bits,
)

LINEAR = LinearSchedule().build()
LEVELS = torch.linspace(-1, 1, 256, dtype=torch.float64)


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


@given(
    means=st.tuples(st.floats(-3, 3), st.floats(-3, 3)), logs=st.tuples(st.floats(-12, 6), st.floats(-12, 6))
)
def test_kl_is_torch_s(means: tuple[float, float], logs: tuple[float, float]) -> None:
    peers = [Normal(number(mean), number(log / 2).exp()) for mean, log in zip(means, logs, strict=True)]
    found = normal_kl(number(means[0]), logs[0], number(means[1]), number(logs[1]))
    assert float(found) == pytest.approx(float(kl_divergence(*peers)), rel=1e-9, abs=1e-12)


@given(gap=st.floats(-1e-6, 1e-6))
def test_kl_of_near_equals_is_its_expansion(gap: float) -> None:
    """½·(gap²/2) for log-variances that far apart, to the next order; the printed form cancels to 1e-16 absolute."""
    found = normal_kl(number(0.5), number(-9.0), number(0.5), number(-9.0 - gap))
    assert float(found) == pytest.approx(gap**2 / 4, rel=1e-5, abs=1e-24)


@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.0, 0.3, 0.999, 1.5])
@pytest.mark.parametrize("std", [1e-4, 0.002, 0.05, 1.0, 30.0])
def test_bins_sum_to_one(mean: float, std: float) -> None:
    """Ho et al. 2020, section 3.3: the masses of the 256 levels."""
    logs = pixel_log_likelihood(LEVELS, torch.full_like(LEVELS, mean), 2 * math.log(std))
    assert float(logs.exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("count", [2, 3, 16])
def test_any_number_of_bins_sums_to_one(count: int) -> None:
    values = torch.linspace(-1, 1, count, dtype=torch.float64)
    logs = pixel_log_likelihood(values, torch.full_like(values, 0.2), 0.0, bins=count)
    assert float(logs.exp().sum()) == pytest.approx(1, abs=1e-14)


@given(level=st.integers(1, 254), mean=st.floats(-1.5, 1.5), log_std=st.floats(-5, 1))
def test_a_bin_s_mass_is_the_integral_over_it(level: int, mean: float, log_std: float) -> None:
    """Simpson's rule over the bin, 200 intervals, where the density does not underflow."""
    x = float(LEVELS[level])
    grid = torch.linspace(x - 1 / 255, x + 1 / 255, 201, dtype=torch.float64)
    weights = torch.tensor([1.0, *([4.0, 2.0] * 99), 4.0, 1.0], dtype=torch.float64) / 600 * 2 / 255
    logs = Normal(mean, math.exp(log_std)).log_prob(grid)
    peak = logs.max()
    expected = float(peak + ((logs - peak).exp() * weights).sum().log())
    found = pixel_log_likelihood(number(x), number(mean), 2 * log_std)
    # Simpson's error: (width/std)⁴·10⁻⁸ near the mean, and steeper far away
    assert float(found) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("far", [50.0, 1000.0])
def test_far_bins_have_logarithms_and_slopes(far: float) -> None:
    """Where erf underflows and improved-diffusion clamps at 1e-12: −½·(distance of the near edge/std)², nearly."""
    mean = number(far).requires_grad_()
    logs = pixel_log_likelihood(number(1 / 255), mean, 0.0)
    assert float(logs.detach()) == pytest.approx(-0.5 * (far - 2 / 255) ** 2, rel=0.01)
    (slope,) = torch.autograd.grad(logs, mean)
    assert float(slope) == pytest.approx(-far, rel=0.01)


def test_densities_where_nothing_is_quantised() -> None:
    x, mean = number(0.3), number(-0.4)
    found = pixel_log_likelihood(x, mean, 2 * math.log(0.7), bins=None)
    assert float(found) == pytest.approx(float(Normal(number(-0.4), number(0.7)).log_prob(x)), rel=1e-14)


def test_a_float_is_not_rounded_to_single_precision() -> None:
    """log-variances come as floats of fixed variances: 1/3 has no short form."""
    whole, tensor = (normal_kl(number(0.0), 0.0, number(0.0), log) for log in (1 / 3, number(1 / 3)))
    assert float(whole) == float(tensor)


@pytest.mark.parametrize(
    ("schedule", "x0", "figure", "within"),
    [
        (LinearSchedule(), 0.0, 6e-10, 0.05),
        (LinearSchedule(), 1.0, 2.911e-05, 1e-3),
        (LinearSchedule(), 3**-0.5, 9.69e-06, 2e-3),  # the mean square of U(−1, 1)
        (CosineSchedule(), 1.0, 1.752e-09, 1e-3),
        (ScaledLinearSchedule(), 1.0, 3.369e-03, 1e-3),
    ],
)
def test_prior_figures(schedule: Schedule, x0: float, figure: float, within: float) -> None:
    """Bits per dimension of the prior's term as the ground truth prints them."""
    built: NoiseSchedule = schedule.build()
    (last, _) = built.levels([999])
    pixels = torch.full((2, 1, 3, 3), x0, dtype=torch.float64)
    found = prior_bits(pixels, alpha=last.alpha, sigma=last.sigma, prior_std=1.0)
    assert found.tolist() == pytest.approx([figure] * 2, rel=within)


def test_no_signal_left_costs_no_prior() -> None:
    (last, _) = TableSchedule([0.5, 0.0]).levels([1])
    pixels = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    assert float(prior_bits(pixels, alpha=last.alpha, sigma=last.sigma, prior_std=1.0)) == 0.0


def test_a_prior_of_another_width() -> None:
    """N(x₀, 80²) against N(0, 80²): ½·(x₀/80)² nats."""
    pixels = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    found = prior_bits(pixels, alpha=1.0, sigma=80.0, prior_std=80.0)
    assert float(found) == pytest.approx(0.5 * (0.5 / 80) ** 2 / math.log(2), rel=1e-10)


def test_a_chain_steps_from_each_time_to_the_one_before() -> None:
    chain = Chain(LINEAR)
    steps = chain.steps(torch.tensor([5.0, 0.0, 999.0, 1.0]))
    assert [current.t for current, _ in steps] == [5, 0, 999, 1]
    assert [following.t for _, following in steps] == [4, CLEAN.t, 998, 0]
    assert math.log(chain.least) == pytest.approx(-9.816725, abs=5e-7)  # the ground truth's clipped logarithm
    assert chain.count == 1000


@pytest.mark.parametrize("schedule", [VPSchedule(), LinearSchedule(steps=1)])
def test_what_is_no_chain_is_refused(schedule: Schedule) -> None:
    with pytest.raises(ValueError, match="counts its times, of two at least"):
        Chain(schedule.build())


def test_each_row_has_the_term_of_its_own_step() -> None:
    """Rows of a mixed batch, the same step twice among them, are those of a batch of one: bit for bit but for sums."""
    generator = torch.Generator().manual_seed(0)
    x0, guess, raw = torch.rand(3, 5, 2, 3, 3, generator=generator, dtype=torch.float64) * 2 - 1
    x0 = (x0 * 127.5).round() / 127.5
    steps = Chain(LINEAR).steps(torch.tensor([400.0, 0.0, 7.0, 400.0, 0.0]))
    for variance in (FixedSmall(), LearnedRange()):

        def term(rows: slice, variance: FixedSmall | LearnedRange = variance) -> Tensor:
            known = Denoised(x0_BCHW=guess[rows], eps_BCHW=guess[rows], variance_BCHW=raw[rows])
            return step_bits(x0[rows], known, steps[rows], variance=variance, least=1e-4)

        together = term(slice(None))
        for row in range(5):
            torch.testing.assert_close(term(slice(row, row + 1)), together[row : row + 1], rtol=1e-14, atol=0)


def test_a_step_s_term_is_the_kl_of_the_two_normals() -> None:
    """From the means and variances themselves, with x_t in them, by torch."""
    current, following, _ = LINEAR.levels([300, 299])
    x0, guess, x_t = torch.rand(
        3, 4, 1, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    posterior = Posterior.between(current, following)
    std = math.sqrt(posterior.variance)
    p, q = (Normal(posterior.mean(x_t, picture), std) for picture in (x0, guess))
    known = Denoised(x0_BCHW=guess, eps_BCHW=guess)
    found = step_bits(x0, known, [(current, following)] * 4, variance=FixedSmall(), least=1e-4)
    torch.testing.assert_close(found, bits(kl_divergence(p, q)), rtol=1e-9, atol=0)


def test_half_the_snr_gained_is_a_step_s_price() -> None:
    """With β̃, L_{t−1} = ½·(SNR(s) − SNR(t))·‖x₀ − x̂₀‖² (Kingma et al. 2021, eq. 14)."""
    current, following, _ = LINEAR.levels([300, 299])
    x0, guess = (
        torch.zeros(1, 1, 1, 1, dtype=torch.float64),
        torch.full((1, 1, 1, 1), 0.3, dtype=torch.float64),
    )
    known = Denoised(x0_BCHW=guess, eps_BCHW=guess)
    found = step_bits(x0, known, [(current, following)], variance=FixedSmall(), least=1e-4)
    gained = math.exp(following.log_snr) - math.exp(current.log_snr)
    assert float(found) == pytest.approx(0.5 * gained * 0.09 / math.log(2), rel=1e-9)
