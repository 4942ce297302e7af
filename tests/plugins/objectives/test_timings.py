"""Timings against diffusers' densities, closed-form distribution functions and the papers' formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from diffusers.training_utils import compute_density_for_timestep_sampling, compute_loss_weighting_for_sd3
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffloom.kinds import NoiseSchedule, Timing
from diffloom.process import Draws, EDMSchedule, FlowSchedule, LinearSchedule, VPSchedule
from diffloom_objectives import (
    CosMapTiming,
    LogitNormalTiming,
    LogNormalTiming,
    ModeTiming,
    StratifiedTiming,
    UniformTiming,
)

LINEAR = LinearSchedule().build()
UNIT = VPSchedule(first=1e-9).build()
"""A continuous axis on which shares are times, to 1e-9."""
ROWS = 4000
KOLMOGOROV = 2.7 / math.sqrt(ROWS)
"""Distance of the empirical from the true distribution function, exceeded once in 10⁶."""


def drawn(component: Timing, schedule: NoiseSchedule, rows: int = ROWS) -> Tensor:
    """Times of as many examples, the factors being 1."""
    times, factors = component.build()(Draws.of(11, range(rows)), schedule=schedule)
    assert bool((factors == 1).all())
    return times


def normal_cdf(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def mode_share(u: float, scale: float) -> float:
    return 1 - u - scale * (math.cos(math.pi * u / 2) ** 2 - 1 + u)


def mode_cdf(share: float) -> float:
    """By bisection: the share falls with u."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mode_share(middle, 1.29) > share else (low, middle)
    return 1 - low


@pytest.mark.parametrize(
    ("component", "distribution"),
    [
        (UniformTiming(), lambda share: share),
        (StratifiedTiming(strata=16), lambda share: share),
        (LogitNormalTiming(), lambda share: normal_cdf(math.log(share / (1 - share)))),
        (
            LogitNormalTiming(mean=-0.5, std=0.6),
            lambda share: normal_cdf((math.log(share / (1 - share)) + 0.5) / 0.6),
        ),
        (ModeTiming(), mode_cdf),
        (CosMapTiming(), lambda share: 2 / math.pi * math.atan(share / (1 - share))),
    ],
    ids=["uniform", "stratified", "logit_normal", "logit_normal, moved", "mode", "cosmap"],
)
def test_distributions(component: Timing, distribution: Callable[[float], float]) -> None:
    """Kolmogorov's distance of 4000 draws from the distribution in closed form; cosmap's is the integral of its
    density 2/(π − 2πt + 2πt²)."""
    shares = drawn(component, UNIT).sort().values.tolist()
    steps = [(number + 0.5) / ROWS for number in range(ROWS)]
    distance = max(abs(distribution(share) - step) for share, step in zip(shares, steps, strict=True))
    assert distance < KOLMOGOROV


def test_logit_normal_and_mode_are_diffusers() -> None:
    """Its densities' deciles beside ours, from 40,000 of its draws; it turns time round when it looks up a sigma."""
    peers = {
        "logit_normal": (LogitNormalTiming(mean=0.3, std=0.8), {"logit_mean": 0.3, "logit_std": 0.8}),
        "mode": (ModeTiming(scale=0.8), {"mode_scale": 0.8}),
    }
    deciles = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    for name, (component, options) in peers.items():
        generator = torch.Generator().manual_seed(0)
        theirs = compute_density_for_timestep_sampling(name, 40_000, generator=generator, **options)
        ours = drawn(component, UNIT)
        torch.testing.assert_close(
            ours.quantile(deciles), theirs.double().quantile(deciles), rtol=0, atol=1.5 * KOLMOGOROV
        )


def test_cosmap_draws_as_often_as_diffusers_weighs() -> None:
    """Its weight of a uniform time is our timing's density: shares in 20 bins, 5 standard errors."""
    counts = torch.histc(drawn(CosMapTiming(), UNIT), bins=20, min=0, max=1)
    middles = (torch.arange(20, dtype=torch.float64) + 0.5) / 20
    expected = compute_loss_weighting_for_sd3("cosmap", middles) * ROWS / 20
    assert bool(((counts - expected).abs() < 5 * expected.sqrt()).all())


def test_times_are_uniform_over_a_whole_table() -> None:
    """Counts of 20 times in 20,000 draws: χ² with 19 degrees of freedom exceeds 65 once in 10⁶."""
    rows = 20_000
    times = drawn(UniformTiming(), LinearSchedule(steps=20).build(), rows)
    counts = torch.bincount(times.long(), minlength=20).double()
    assert len(counts) == 20
    assert float(((counts - rows / 20) ** 2 / (rows / 20)).sum()) < 65


@given(count=st.integers(1, 4000), u=st.floats(0, 1))
def test_a_share_stands_for_the_time_of_its_part(count: int, u: float) -> None:
    """Of T equal parts of [0, 1] the one that u is in, the last one closed: a law of `time_at` on any table."""
    from diffloom.kinds import TimeAxis
    from diffloom_objectives.time_draws import time_at

    (time,) = time_at(TimeAxis.table(count), torch.tensor([u], dtype=torch.float64)).tolist()
    assert time == int(time)
    assert time / count <= u * (1 + 1e-15)
    assert u <= (time + 1) / count * (1 + 1e-15)


def test_shares_follow_a_flow_s_own_bend() -> None:
    """A shifted flow's axis bends shares by s·u/(1 + (s − 1)·u), as its own times are (Esser et al. 2024, eq. 23)."""
    schedule = FlowSchedule(shift=3.0).build()
    plain = drawn(LogitNormalTiming(), UNIT, 50)
    bent = drawn(LogitNormalTiming(), schedule, 50)
    torch.testing.assert_close(
        bent, 3 * plain / (1 + 2 * plain), rtol=0, atol=1e-3
    )  # the flow begins above 0


@pytest.mark.parametrize("count", [1, 8, 64])
def test_strata_cover_the_schedule(count: int) -> None:
    """Each round of `strata` examples is evenly spaced on the circle, from one draw (Kingma et al. 2021)."""
    shares = drawn(StratifiedTiming(strata=count), UNIT, 4 * count).view(4, count)
    ordered = shares.sort(1).values
    gaps = torch.cat([ordered, ordered[:, :1] + 1], 1).diff(dim=1)
    torch.testing.assert_close(gaps, torch.full_like(gaps, 1 / count), rtol=0, atol=1e-8)
    assert (
        len({round(float(share) % (1 / count), 9) for share in shares[:, 0]}) == 4
    )  # each round has its own


def test_a_stratified_time_is_its_example_s_however_the_batch_is_split() -> None:
    timing = StratifiedTiming(strata=8).build()
    whole, _ = timing(Draws.of(3, range(16)), schedule=LINEAR)
    parts = [timing(Draws.of(3, range(first, first + 2)), schedule=LINEAR)[0] for first in range(0, 16, 2)]
    assert torch.equal(torch.cat(parts), whole)


def test_levels_of_edm() -> None:
    """ln σ ~ N(−1.2, 1.2²): mean and deviation within 5 standard errors; the median is the ground truth's .3011942."""
    log_sigma = 4 * drawn(LogNormalTiming(), EDMSchedule(sigma_min=1e-9, sigma_max=1e9).build())
    assert float(log_sigma.mean()) == pytest.approx(-1.2, abs=5 * 1.2 / math.sqrt(ROWS))
    assert float(log_sigma.std()) == pytest.approx(1.2, abs=5 * 1.2 / math.sqrt(2 * ROWS))
    assert math.exp(LogNormalTiming().mean) == pytest.approx(0.3011942, abs=5e-8)


def test_levels_beyond_the_schedule_take_its_ends_and_counted_ones_the_nearest() -> None:
    wide = LogNormalTiming(mean=0.0, std=30.0)
    assert {0.0, 999.0} <= set(drawn(wide, LINEAR, 200).tolist())
    times = drawn(LogNormalTiming(), LINEAR, 200)
    levels = LINEAR.log_snr(torch.arange(1000))
    wanted = -2 * (-1.2 + 1.2 * Draws.of(11, range(200)).normal("time", (1,), dtype=torch.float64))
    gap = (LINEAR.log_snr(times) - wanted[:, 0]).abs()
    nearest = (levels - wanted).abs().min(1).values
    assert bool((gap <= nearest + levels.diff().abs()[times.long().clamp(max=998)]).all())


def test_only_even_timings_are_unbiased() -> None:
    assert [part.unbiased for part in (UniformTiming, StratifiedTiming)] == [True, True]
    uneven = (LogitNormalTiming, ModeTiming, CosMapTiming, LogNormalTiming)
    assert not any(part.unbiased for part in uneven)
