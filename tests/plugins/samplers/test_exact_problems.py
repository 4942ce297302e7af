"""Samplers on problems whose answer is known in closed form.

Gaussian data N(0, s²): x₀ and ε given x_t are linear in x_t, and the probability-flow ODE has the solution
x(t) = x_T·√(alpha_t²s² + sigma_t²) / √(alpha_T²s² + sigma_T²). Data at one point c: the posterior is exact, so that
DDPM with the variance β̃ has exactly the forward marginals N(alpha_t·c, sigma_t²).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from diffloom.kinds import TimeAxis, TimeSpacing, Walk
from diffloom.process import (
    CosineSchedule,
    Denoised,
    Draws,
    FixedLarge,
    FixedSmall,
    Level,
    LinearSchedule,
    ScaledLinearSchedule,
    Step,
    TableSchedule,
)
from diffloom.testing.course import GivenNoise, walked
from diffloom_samplers import DDIM, DDPM
from diffloom_spacings import Leading, Linspace, Trailing

SCHEDULES = {
    "linear": LinearSchedule().build(),
    "scaled_linear": ScaledLinearSchedule().build(),
    "cosine": CosineSchedule().build(),
}
by_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
by_spacing = pytest.mark.parametrize("spacing", [Leading(), Trailing(), Linspace()], ids=lambda s: s.name)

DATA_STD = 0.5


def gaussian(x: Tensor, level: Level) -> Denoised:
    """The exact denoiser of N(0, DATA_STD²)."""
    total = (level.alpha * DATA_STD) ** 2 + level.sigma**2
    return Denoised(x0_BCHW=level.alpha * DATA_STD**2 / total * x, eps_BCHW=level.sigma / total * x)


def point(c: float) -> Callable[[Tensor, Level], Denoised]:
    """The exact denoiser of data at the single point c."""

    def denoise(x: Tensor, level: Level) -> Denoised:
        x0 = torch.full_like(x, c)
        return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)

    return denoise


def spread(level: Level) -> float:
    """Standard deviation of x_t for Gaussian data."""
    return math.hypot(level.alpha * DATA_STD, level.sigma)


def steps_of(
    walk: Walk,
    x: Tensor,
    levels: Sequence[Level],
    denoise: Callable[[Tensor, Level], Denoised],
    noises: Sequence[Tensor] = (),
) -> list[Step]:
    """The walk; without noises it must not ask for any."""
    return walked(walk, x, levels, denoise, noise=GivenNoise(noises), variance=FixedSmall())


def normals(draws: Draws, count: int, shape: tuple[int, ...]) -> list[Tensor]:
    return [draws.at(i).normal("step", shape, dtype=torch.float64) for i in range(count)]


def standard_normal(z: Tensor) -> bool:
    """Whether mean and variance are those of N(0, 1), at 5 standard errors: a false alarm in 10⁶ for each."""
    n = z.numel()
    return abs(float(z.mean())) < 5 / math.sqrt(n) and abs(float(z.var()) - 1) < 5 * math.sqrt(2 / (n - 1))


@by_schedule
def test_ddim_converges_with_order_one(schedule: TableSchedule) -> None:
    """Halving the steps' length (over fractional times) halves the error at time 0: orders 0.92 to 1.00 were seen."""
    errors = []
    for count in (40, 80, 160, 320, 640):
        levels = schedule.levels(torch.linspace(999, 0, count + 1, dtype=torch.float64).tolist())
        x = torch.tensor([3 * spread(levels[0])], dtype=torch.float64)
        last_noisy = steps_of(DDIM(), x, levels, gaussian)[
            -2
        ]  # the step into the clean level is no part of the ODE
        assert last_noisy.next_level.t == 0
        errors.append(abs(float(last_noisy.following_BCHW) / (3 * spread(last_noisy.next_level)) - 1))
    orders = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert orders == pytest.approx([1.0] * 4, abs=0.1)
    assert errors[-1] < 0.01


@by_schedule
@by_spacing
@pytest.mark.parametrize(
    "walk", [DDPM(), DDIM(eta=0.0), DDIM(eta=0.3), DDIM(eta=1.0)], ids=["ddpm", "0", "0.3", "1"]
)
def test_point_data_keep_the_forward_marginals(
    schedule: TableSchedule, spacing: TimeSpacing, walk: Walk
) -> None:
    """At every step of a strided walk: Ho et al. 2020, section 3.2; Song et al. 2020, lemma 1, for every η."""
    c, shape = -0.6, (250, 400)
    draws = Draws.of(11, [0])
    levels = schedule.levels(spacing.times(axis=TimeAxis.table(1000), steps=9))
    x = levels[0].alpha * c + levels[0].sigma * draws.normal("prior", shape, dtype=torch.float64)
    steps = steps_of(walk, x, levels, point(c), normals(draws, 9, shape))
    for step in steps[:-1]:
        level = step.next_level
        assert standard_normal((step.following_BCHW - level.alpha * c) / level.sigma), level
    assert torch.equal(steps[-1].following_BCHW, torch.full((1, *shape), c, dtype=torch.float64))


@by_schedule
def test_normal_data_stay_normal_under_fixed_large(schedule: TableSchedule) -> None:
    """Data N(0, 1): x_t is N(0, 1) at every level, and DDPM with the variance β keeps it (Ho et al. 2020, 3.2)."""
    shape = (250, 400)
    draws = Draws.of(12, [0])

    def denoise(x: Tensor, level: Level) -> Denoised:
        return Denoised(x0_BCHW=level.alpha * x, eps_BCHW=level.sigma * x)

    walk = walked(
        DDPM(),
        draws.normal("prior", shape, dtype=torch.float64),
        schedule.levels(Leading().times(axis=TimeAxis.table(1000), steps=10)),
        denoise,
        noise=GivenNoise(normals(draws, 10, shape)),
        variance=FixedLarge(),
    )
    assert all(standard_normal(step.x_t_BCHW) for step in walk)


@by_schedule
def test_deterministic_ddim_keeps_its_noise(schedule: TableSchedule) -> None:
    """Point data, η = 0: x_s = alpha_s·c + sigma_s·ε with the ε it started from, exactly."""
    eps = torch.linspace(-3, 3, 7, dtype=torch.float64)
    levels = schedule.levels(Linspace().times(axis=TimeAxis.table(1000), steps=17))
    for step in steps_of(DDIM(), levels[0].alpha * 0.4 + levels[0].sigma * eps, levels, point(0.4)):
        expected = step.next_level.alpha * 0.4 + step.next_level.sigma * eps
        torch.testing.assert_close(step.following_BCHW, expected, rtol=0, atol=1e-12)


@by_schedule
@by_spacing
def test_ddim_at_eta_1_is_ddpm(schedule: TableSchedule, spacing: TimeSpacing) -> None:
    """Song et al. 2020, section 4.1, for the variance fixed_small; the same noise, a nonlinear denoiser."""
    noises = torch.randn(13, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def denoise(x: Tensor, level: Level) -> Denoised:
        x0 = torch.tanh(2 * x.roll(1, 1))
        return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)

    levels = schedule.levels(spacing.times(axis=TimeAxis.table(1000), steps=13))
    one = steps_of(DDIM(eta=1.0), noises[-1], levels, denoise, noises)
    other = steps_of(DDPM(), noises[-1], levels, denoise, noises)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a.following_BCHW, b.following_BCHW, rtol=0, atol=1e-12)
