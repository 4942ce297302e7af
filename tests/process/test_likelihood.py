"""Bits per dimension of data whose perfect denoiser is known: never below the entropy, term by term as in closed form.

Legend: B batch, C channels, H height, W width, S steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

from diffloom.kinds import ReverseVariance
from diffloom.process import (
    CLEAN,
    BitsPerDimension,
    Denoised,
    Draws,
    FixedLarge,
    FixedSmall,
    Level,
    LinearSchedule,
    Posterior,
    TableSchedule,
    VPSchedule,
    bits_per_dimension,
    clipped,
)
from diffloom.testing.closed_forms import GaussianData

LINEAR = LinearSchedule().build()
CHAIN = LINEAR.levels(range(999, -1, -1))
STD = 0.25
ENTROPY = math.log2(STD * math.sqrt(2 * math.pi * math.e) * 127.5)
"""Of N(0, .25²) in bins of 2/255, in bits: 7.04."""


def eight_bit(x: Tensor) -> Tensor:
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def told(
    x0: Tensor,
    denoise: Callable[[Tensor, Level], Denoised],
    chain: tuple[Level, ...] = CHAIN,
    variance: ReverseVariance | None = None,
) -> BitsPerDimension:
    return bits_per_dimension(
        x0,
        chain,
        denoise=denoise,
        variance=variance or FixedSmall(),
        prior_std=1.0,
        draws=Draws.of(0, range(len(x0))),
    )


@cache
def gaussian() -> tuple[Tensor, BitsPerDimension]:
    """10,240 pixels of N(0, .25²), rounded to 8 bits, and their bound by the exact denoiser, clipped."""
    x0 = eight_bit(STD * Draws.of(7, range(10)).normal("data", (1, 32, 32), dtype=torch.float64))
    return x0, told(x0, clipped(GaussianData(0.0, STD), 1.0))


def remaining(t: int) -> float:
    """Variance of x₀ given x_t."""
    snr = float(LINEAR.alpha_bar[t] / (1 - LINEAR.alpha_bar[t]))
    return 1 / (STD**-2 + snr)


def test_the_exact_denoiser_s_bound_is_above_the_entropy() -> None:
    """7.84 in closed form, where improved-diffusion's own loop gave 7.85: Σ ½·ΔSNR·Var[x₀|x_t], and the decoder's
    ½·log(2πβ̃₂) + Var/(2β̃₂) in bins of 2/255, as if a bin were small beside its std (0.05 off)."""
    _, found = gaussian()
    snr = (LINEAR.alpha_bar / (1 - LINEAR.alpha_bar)).tolist()
    steps = sum(0.5 * (snr[t - 1] - snr[t]) * remaining(t) for t in range(1, 1000))
    least = Posterior.between(*LINEAR.levels([1, 0])[:2]).variance
    decoder = 0.5 * math.log(2 * math.pi * least) + remaining(0) / (2 * least) - math.log(2 / 255)
    expected = (steps + decoder) / math.log(2)
    assert expected == pytest.approx(7.85, abs=0.02)
    assert pytest.approx(7.04, abs=0.005) == ENTROPY
    # 10,240 pixels: the decoder's term alone spreads by 1.3 bits, ±0.013 of their mean
    assert float(found.total.mean()) == pytest.approx(expected, abs=0.05 + 5 * 0.013)
    assert float(found.total.mean()) > ENTROPY


def test_every_term_of_it() -> None:
    """Errors of x₀ and ε and the terms of the walk against closed forms, within 6 standard errors: 3000 comparisons."""
    _, found = gaussian()
    spread = 6 * math.sqrt(2 / 10_240)
    for t in range(1, 1000):
        place, snr = 999 - t, float(LINEAR.alpha_bar[t] / (1 - LINEAR.alpha_bar[t]))
        assert float(found.x0_error_BS[:, place].mean()) == pytest.approx(remaining(t), rel=spread)
        assert float(found.eps_error_BS[:, place].mean()) == pytest.approx(snr * remaining(t), rel=spread)
        before = float(LINEAR.alpha_bar[t - 1] / (1 - LINEAR.alpha_bar[t - 1]))
        term = 0.5 * (before - snr) * remaining(t) / math.log(2)
        assert float(found.terms_BS[:, place].mean()) == pytest.approx(term, rel=spread)


def test_the_total_is_the_sum_of_its_parts() -> None:
    _, found = gaussian()
    assert found.terms_BS.shape == (10, 1000)
    torch.testing.assert_close(found.total, found.prior_B + found.terms_BS.sum(1), rtol=1e-14, atol=0)
    assert float(found.prior_B.mean()) == pytest.approx(2.911e-05 * STD**2, rel=0.1)


@pytest.mark.parametrize("std", [0.1, 0.25, 0.6])
@pytest.mark.parametrize("variance", [FixedSmall(), FixedLarge()])
def test_a_wrong_denoiser_is_no_better(std: float, variance: ReverseVariance) -> None:
    """Whatever it believes, and with either variance: the bound stays above the entropy."""
    x0 = eight_bit(STD * Draws.of(7, range(4)).normal("data", (1, 16, 16), dtype=torch.float64))
    chain = (*LINEAR.levels(range(995, -1, -5))[:-1], CLEAN)
    assert float(told(x0, GaussianData(0.0, std), chain, variance).total.mean()) > ENTROPY


class Uniform:
    """The exact denoiser of the 256 equally likely levels: the mean of the posterior over all of them."""

    levels = torch.linspace(-1, 1, 256, dtype=torch.float64)

    def __call__(self, x: Tensor, level: Level) -> Denoised:
        logs = -0.5 * ((x[..., None] - level.alpha * self.levels) / level.sigma) ** 2
        x0 = logs.softmax(-1) @ self.levels
        return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)


@pytest.mark.parametrize("denoise", [Uniform(), GaussianData(0.0, 3**-0.5)], ids=["exact", "gaussian"])
@pytest.mark.parametrize("steps", [1000, 50])
def test_uniform_bytes_never_cost_less_than_eight_bits(
    denoise: Callable[[Tensor, Level], Denoised], steps: int
) -> None:
    """All 256 values once in each of 4 examples, so that only the noise is chance."""
    x0 = Uniform.levels.view(1, 1, 16, 16).expand(4, 1, 16, 16)
    times = [round(number * 999 / (steps - 1)) for number in reversed(range(steps))]
    found = told(x0, denoise, LINEAR.levels(times))
    assert float(found.total.mean()) > 8


def test_a_continuous_schedule_s_chain() -> None:
    """The finer the chain, the lower its bound: its steps' terms tend to ½∫ Var[x₀ | x] dSNR from above."""
    schedule = VPSchedule(first=0.05).build()
    x0 = eight_bit(STD * Draws.of(7, range(4)).normal("data", (1, 32, 32), dtype=torch.float64))

    def terms(steps: int) -> float:
        times = [schedule.axis.at(1 - number / (steps - 1)) for number in range(steps)]
        chain = schedule.levels(times)
        return float(told(x0, GaussianData(0.0, STD), chain).terms_BS[:, :-1].sum(1).mean())

    coarse, fine = terms(25), terms(200)
    first, last, _ = schedule.levels([0.05, 1.0])
    snrs = [math.exp(level.log_snr) for level in (first, last)]
    limit = 0.5 * math.log2((STD**-2 + snrs[0]) / (STD**-2 + snrs[1]))
    assert limit < fine < coarse
    assert fine < limit * 1.1


def test_rows_are_their_own() -> None:
    """A picture's bound is the same alone, with its own noise, as in a batch."""
    x0 = eight_bit(STD * Draws.of(7, range(3)).normal("data", (1, 4, 4), dtype=torch.float64))
    chain = (*LINEAR.levels([900, 500, 100, 3])[:-1], CLEAN)
    together = told(x0, GaussianData(0.0, STD), chain).total
    for row in range(3):
        alone = bits_per_dimension(
            x0[row : row + 1],
            chain,
            denoise=GaussianData(0.0, STD),
            variance=FixedSmall(),
            prior_std=1.0,
            draws=Draws.of(0, [row]),
        )
        torch.testing.assert_close(alone.total, together[row : row + 1], rtol=1e-13, atol=0)


@pytest.mark.parametrize("chain", [(CLEAN,), TableSchedule([0.5]).levels([0]), LINEAR.levels([9, 4, 1])[:-1]])
def test_what_is_no_chain_is_refused(chain: tuple[Level, ...]) -> None:
    with pytest.raises(ValueError, match="two noisy levels at least, and the clean one at its end"):
        told(torch.zeros(1, 1, 1, 1), GaussianData(0.0, STD), chain)
