"""k-diffusion's samplers, their formulas written out here in its own variables, against ours.

It knows only x = x₀ + sigma·ε. Ours walk levels where variance is preserved, explodes, or flows straight; with x/alpha
for its x and sigma/alpha for its sigma the two must be the same walk, in float64 to 1e-11 (1e-13 was seen). The second
oracle of DPM-Solver's is the paper: `dpm_solver_step` and `dpmpp_step` are its algorithms in λ = −log sigma.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffloom.kinds import Walk
from diffloom.process import Denoised, Level
from diffloom.testing.closed_forms import (
    exploding,
    exploding_at,
    flowing,
    flowing_at,
    normal,
    preserving,
    preserving_at,
)
from diffloom.testing.course import GivenNoise, walked
from diffloom_samplers import DPMPP2S, Ancestry, Churn, DPMSolver2S, DPMSolver3S, Euler, Heun

FAMILIES = {
    "preserving": (preserving, preserving_at),
    "exploding": (exploding, exploding_at),
    "flowing": (flowing, flowing_at),
}
STEPS = 7
SHAPE = (2, 3, 4, 4)
NOISES = [normal(SHAPE, step=i, seed=5) for i in range(STEPS)]
Denoiser = Callable[[Tensor, float], Tensor]
"""k-diffusion's: (x, sigma) → x₀."""
Span = tuple[float, float]
"""A step's sigma, and the next."""


def picture(x: Tensor, level: Level) -> Tensor:
    """A nonlinear x₀ that mixes channels and pixels and depends on the level."""
    mixed = 0.8 * x - 0.4 * x.roll(1, 1) + 0.3 * x.roll(2, 3)
    return torch.tanh(mixed / math.hypot(level.alpha, level.sigma) + 0.3) * (
        1 + 0.2 * math.sin(level.log_snr)
    )


def denoise(x: Tensor, level: Level) -> Denoised:
    x0 = picture(x, level)
    return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)


def slope(x: Tensor, sigma: float, denoised: Tensor) -> Tensor:
    return (x - denoised) / sigma


def ancestral(sigma: float, following: float, eta: float) -> tuple[float, float]:
    """Down and up: where to step, and how much noise brings it back to `following`."""
    up = min(following, eta * math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2))
    return math.sqrt(following**2 - up**2), up


def stirred(x: Tensor, sigma: float, noise: Tensor, churn: Churn) -> tuple[Tensor, float]:
    bound = math.inf if churn.s_max is None else churn.s_max
    gamma = min(churn.s_churn / STEPS, math.sqrt(2) - 1) if churn.s_min <= sigma <= bound else 0.0
    higher = sigma * (gamma + 1)
    return x + noise * churn.s_noise * math.sqrt(higher**2 - sigma**2), higher


def sample_euler(d: Denoiser, x: Tensor, span: Span, noise: Tensor, churn: Churn) -> Tensor:
    sigma, to = span
    x, high = stirred(x, sigma, noise, churn)
    return x + slope(x, high, d(x, high)) * (to - high)


def sample_heun(d: Denoiser, x: Tensor, span: Span, noise: Tensor, churn: Churn) -> Tensor:
    sigma, to = span
    x, high = stirred(x, sigma, noise, churn)
    first = slope(x, high, d(x, high))
    there = x + first * (to - high)
    return there if to == 0 else x + (first + slope(there, to, d(there, to))) / 2 * (to - high)


def sample_dpm_2(d: Denoiser, x: Tensor, span: Span, noise: Tensor, churn: Churn) -> Tensor:
    sigma, to = span
    x, high = stirred(x, sigma, noise, churn)
    first = slope(x, high, d(x, high))
    if to == 0:
        return x + first * (to - high)
    middle = math.exp((math.log(high) + math.log(to)) / 2)
    there = x + first * (middle - high)
    return x + slope(there, middle, d(there, middle)) * (to - high)


def sample_euler_ancestral(d: Denoiser, x: Tensor, span: Span, noise: Tensor, a: Ancestry) -> Tensor:
    sigma, to = span
    down, up = ancestral(sigma, to, a.eta)
    return x + slope(x, sigma, d(x, sigma)) * (down - sigma) + noise * a.s_noise * up


def sample_dpm_2_ancestral(d: Denoiser, x: Tensor, span: Span, noise: Tensor, a: Ancestry) -> Tensor:
    sigma, to = span
    down, up = ancestral(sigma, to, a.eta)
    return sample_dpm_2(d, x, (sigma, down), noise, Churn()) + noise * a.s_noise * up


def sample_dpmpp_2s_ancestral(d: Denoiser, x: Tensor, span: Span, noise: Tensor, a: Ancestry) -> Tensor:
    sigma, to = span
    down, up = ancestral(sigma, to, a.eta)
    known = d(x, sigma)
    if down == 0:
        return x + slope(x, sigma, known) * (down - sigma) + noise * a.s_noise * up
    return dpmpp_step(d, x, sigma, down, 0.5) + noise * a.s_noise * up


def dpmpp_step(d: Denoiser, x: Tensor, sigma: float, to: float, r1: float) -> Tensor:
    """Lu et al. 2022b, algorithm 1, with alpha 1."""
    if to == 0:
        return d(x, sigma)
    h = math.log(sigma) - math.log(to)
    s = sigma * math.exp(-r1 * h)
    first = d(x, sigma)
    u = s / sigma * x - math.expm1(-r1 * h) * first
    mixed = (1 - 1 / (2 * r1)) * first + 1 / (2 * r1) * d(u, s)
    return to / sigma * x - math.expm1(-h) * mixed


def dpm_solver_step(d: Denoiser, x: Tensor, sigma: float, to: float, rs: tuple[float, ...]) -> Tensor:
    """Lu et al. 2022, algorithm 1 for one share, 2 for two, with alpha 1."""
    first = slope(x, sigma, d(x, sigma))
    if to == 0:
        return x - sigma * first
    h, r1 = math.log(sigma) - math.log(to), rs[0]
    s1 = sigma * math.exp(-r1 * h)
    u1 = x - s1 * math.expm1(r1 * h) * first
    d1 = slope(u1, s1, d(u1, s1)) - first
    if len(rs) == 1:
        return x - to * math.expm1(h) * first - to / (2 * r1) * math.expm1(h) * d1
    r2 = rs[1]
    s2 = sigma * math.exp(-r2 * h)
    bend = math.expm1(r2 * h) / (r2 * h) - 1
    u2 = x - s2 * math.expm1(r2 * h) * first - s2 * r2 / r1 * bend * d1
    d2 = slope(u2, s2, d(u2, s2)) - first
    return x - to * math.expm1(h) * first - to / r2 * (math.expm1(h) / h - 1) * d2


STILL, STIRRED, SOME = Churn(), Churn(s_churn=1.5, s_noise=1.01), Churn(s_churn=99.0, s_min=0.1, s_max=10.0)
FULL, PART = Ancestry(eta=1.0), Ancestry(eta=0.6, s_noise=1.02)
CASES: dict[str, tuple[Walk, Callable[..., Tensor], object]] = {
    **{f"euler {c.s_churn}": (Euler(churn=c), sample_euler, c) for c in (STILL, STIRRED, SOME)},
    **{f"heun {c.s_churn}": (Heun(churn=c), sample_heun, c) for c in (STILL, STIRRED, SOME)},
    **{f"dpm2 {c.s_churn}": (DPMSolver2S(churn=c), sample_dpm_2, c) for c in (STILL, STIRRED, SOME)},
    **{f"euler_ancestral {a.eta}": (Euler(ancestry=a), sample_euler_ancestral, a) for a in (FULL, PART)},
    **{f"dpm2_ancestral {a.eta}": (DPMSolver2S(ancestry=a), sample_dpm_2_ancestral, a) for a in (FULL, PART)},
    **{
        f"dpmpp_2s_ancestral {a.eta}": (DPMPP2S(ancestry=a), sample_dpmpp_2s_ancestral, a)
        for a in (FULL, PART)
    },
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", CASES)
def test_k_diffusions_samplers(name: str, family: str) -> None:
    walk, formula, settings = CASES[name]
    expect_same(walk, lambda d, x, sigma, to, i: formula(d, x, (sigma, to), NOISES[i], settings), family)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("r1", [0.3, 0.5])
def test_the_papers_single_steps(r1: float, family: str) -> None:
    for rs, walk in (((r1,), DPMSolver2S(r1=r1)), ((r1, 0.7), DPMSolver3S(r1=r1, r2=0.7))):
        expect_same(walk, lambda d, x, sigma, to, i, rs=rs: dpm_solver_step(d, x, sigma, to, rs), family)
    expect_same(DPMPP2S(r1=r1), lambda d, x, sigma, to, i: dpmpp_step(d, x, sigma, to, r1), family)


def expect_same(walk: Walk, formula: Callable[..., Tensor], family: str) -> None:
    """Each step of the walk is the formula's, both on paths of their own from one start."""
    levels_of, at = FAMILIES[family]
    levels = levels_of(STEPS)

    def d(x: Tensor, sigma: float) -> Tensor:
        level = at(-2 * math.log(sigma))
        return picture(level.alpha * x, level)

    x = levels[0].ratio * normal(SHAPE, seed=9)
    steps = walked(walk, levels[0].alpha * x, levels, denoise, noise=GivenNoise(NOISES), at=at)
    for step in steps:
        x = formula(d, x, step.level.ratio, step.next_level.ratio, step.index)
        difference = (step.following_BCHW / step.next_level.alpha - x).abs().max() / x.abs().max()
        assert difference < 1e-11, f"step {step.index}: {difference:.2g}"
    assert len(steps) == STEPS
