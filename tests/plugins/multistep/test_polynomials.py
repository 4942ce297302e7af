"""A multistep method of order p is exact where what it follows is a polynomial of degree p − 1, on any levels.

Oracle: antiderivatives. ε(ρ) or x₀(λ) is given as a polynomial that ignores x; x/alpha then is an integral.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.polynomial import Polynomial
from scipy import integrate
from torch import Tensor

from diffloom.kinds import Walk
from diffloom.process import Denoised, Level, Step
from diffloom.process.polynomial import exponential_integrals, lagrange_integrals
from diffloom.testing.closed_forms import exploding_at, flowing_at, preserving_at
from diffloom.testing.course import walked
from diffloom_multistep import DEIS, LMS, DPMpp2M, DPMpp3M, UniPC

START = torch.tensor([[[[0.7]]]], dtype=torch.float64)
AT: dict[str, Callable[[float], Level]] = {
    "preserving": preserving_at,
    "exploding": exploding_at,
    "flowing": flowing_at,
}
by_family = pytest.mark.parametrize("at", AT.values(), ids=AT)
falls = st.lists(st.floats(0.1, 1.5), min_size=5, max_size=7)  # steps in half-log-SNR
coefficients = st.lists(st.floats(-1, 1), min_size=4, max_size=4)


def levels_of(steps: Sequence[float], at: Callable[[float], Level]) -> list[Level]:
    places = np.cumsum([-2.0, *steps])
    return [at(2 * float(place)) for place in places]


def steps_of(
    walk: Walk,
    levels: Sequence[Level],
    at: Callable[[float], Level],
    known: Callable[[Level], float],
    *,
    noise: bool,
) -> list[Step]:
    """The walk where ε (`noise`), or else x₀, is `known` at every level."""

    def denoise(x: Tensor, level: Level) -> Denoised:
        value = torch.full_like(x, known(level))
        if noise:
            return Denoised(x0_BCHW=(x - level.sigma * value) / level.alpha, eps_BCHW=value)
        return Denoised(x0_BCHW=value, eps_BCHW=(x - level.alpha * value) / level.sigma)

    return walked(walk, START, levels, denoise, at=at)


def expect_exact(
    steps: Sequence[Step], since: int, increment: Callable[[Level, Level], float], *, noise: bool
) -> None:
    """x/alpha (`noise`), or else x/sigma, changes by its integral in every step from `since` on."""
    for step in steps[since:]:
        here, there = step.level, step.next_level
        a, b = (here.alpha, there.alpha) if noise else (here.sigma, there.sigma)
        change = (step.following_BCHW / b - step.x_t_BCHW / a).item()
        scale = max(1.0, abs(step.x_t_BCHW.item() / a), abs(step.following_BCHW.item() / b))
        assert abs(change - increment(here, there)) < 1e-11 * scale


@by_family
@given(steps=falls, coefficients=coefficients, order=st.integers(1, 4))
@settings(deadline=None, max_examples=25)
def test_lms_is_exact_for_polynomials_in_rho(
    at: Callable[[float], Level], steps: list[float], coefficients: list[float], order: int
) -> None:
    eps = Polynomial(coefficients[:order])
    whole = eps.integ()
    found = steps_of(LMS(order=order), levels_of(steps, at), at, lambda level: eps(level.ratio), noise=True)
    expect_exact(found, order - 1, lambda a, b: whole(b.ratio) - whole(a.ratio), noise=True)


@by_family
@given(steps=falls, coefficients=coefficients, order=st.integers(1, 4))
@settings(deadline=None, max_examples=25)
def test_deis_is_exact_for_polynomials_in_log_rho(
    at: Callable[[float], Level], steps: list[float], coefficients: list[float], order: int
) -> None:
    """∫ p(λ)·(−e^(−λ)) dλ = e^(−λ)·(p + p' + p'' + …)."""
    eps = Polynomial(coefficients[:order])
    whole = sum((eps.deriv(k) for k in range(1, order)), eps)

    def primitive(level: Level) -> float:
        return float(level.ratio * whole(level.half_log_snr))

    walk = DEIS(order=order, lower_order_final=False)
    found = steps_of(walk, levels_of(steps, at), at, lambda level: eps(level.half_log_snr), noise=True)
    expect_exact(found, order - 1, lambda a, b: primitive(b) - primitive(a), noise=True)


@given(steps=falls, coefficients=coefficients, order=st.integers(1, 4))
@settings(deadline=None, max_examples=25)
def test_deis_in_time_is_exact_for_polynomials_in_time(
    steps: list[float], coefficients: list[float], order: int
) -> None:
    """On a straight flow whose time is sigma, ρ = t/(1 − t): ∫ p(t) dρ by scipy's quadrature."""
    eps = Polynomial(coefficients[:order])

    def increment(a: Level, b: Level) -> float:
        return float(integrate.quad(lambda t: eps(t) / (1 - t) ** 2, a.t, b.t, epsabs=1e-13, epsrel=1e-13)[0])

    walk = DEIS(order=order, variable="time", lower_order_final=False)
    levels = levels_of(steps, flowing_at)
    try:
        found = steps_of(walk, levels, flowing_at, lambda level: eps(level.t), noise=True)
    except ValueError as refusal:  # test_deis_in_time.py says where
        assume("the levels are too uneven in time" not in str(refusal))
        raise
    expect_exact(found, order - 1, increment, noise=True)


@by_family
@given(steps=falls, coefficients=coefficients)
@settings(deadline=None, max_examples=25)
def test_dpmpp_is_exact_for_polynomials_in_lambda(
    at: Callable[[float], Level], steps: list[float], coefficients: list[float]
) -> None:
    """x/sigma grows by ∫ e^λ·x₀(λ) dλ; 2M with `heun` to degree 1, 3M with `taylor` to degree 2."""
    walks = {
        2: DPMpp2M(solver_type="heun", lower_order_final=False),
        3: DPMpp3M(lower_order_final=False),
    }
    for order, walk in walks.items():
        x0, increment = _exponential(coefficients[:order])
        found = steps_of(walk, levels_of(steps, at), at, x0, noise=False)
        expect_exact(found, order - 1, increment, noise=False)


@by_family
@given(steps=falls, coefficients=coefficients, order=st.sampled_from([2, 3]))
@settings(deadline=None, max_examples=25)
def test_unipc_corrected_is_exact_for_one_degree_more(
    at: Callable[[float], Level], steps: list[float], coefficients: list[float], order: int
) -> None:
    """What a step starts from, corrected, is where it arrives less what it predicts, as DPM-Solver++ does."""
    levels = levels_of(steps, at)
    x0, increment = _exponential(coefficients[: order + 1])
    predictor = {2: DPMpp2M(lower_order_final=False), 3: DPMpp3M(lower_order_final=False)}[order]
    predicted = steps_of(predictor, levels, at, x0, noise=False)
    found = steps_of(UniPC(order=order, lower_order_final=False), levels, at, x0, noise=False)
    corrected = [
        (mine.following_BCHW - other.following_BCHW).item() / mine.next_level.sigma
        + other.x_t_BCHW.item() / mine.level.sigma
        for mine, other in zip(found, predicted, strict=True)
    ]
    for index in range(order - 1, len(found) - 1):
        change = corrected[index + 1] - corrected[index]
        scale = max(
            1.0,
            abs(corrected[index + 1]),
            abs(predicted[index].following_BCHW.item()) / levels[index + 1].sigma,
        )
        assert abs(change - increment(levels[index], levels[index + 1])) < 1e-11 * scale


def _exponential(
    coefficients: Sequence[float],
) -> tuple[Callable[[Level], float], Callable[[Level, Level], float]]:
    """x₀ as a polynomial in λ, and ∫ e^λ·x₀ dλ = e^λ·(p − p' + p'' − …)."""
    x0 = Polynomial(coefficients)
    whole = sum(((-1) ** k * x0.deriv(k) for k in range(1, len(coefficients))), x0)

    def primitive(level: Level) -> float:
        return float(whole(level.half_log_snr) / level.ratio)

    return lambda level: float(x0(level.half_log_snr)), lambda a, b: primitive(b) - primitive(a)


@given(steps=falls)
@settings(deadline=None, max_examples=25)
def test_the_integrals_are_those_of_scipy(steps: list[float]) -> None:
    """Lagrange's basis against adaptive quadrature, plain and with the exponential; the basis sums to 1."""
    places = [float(place) for place in np.cumsum(steps)]
    start, end = places[-2:]

    def basis(j: int, s: float) -> float:
        others = [place for place in places if place != places[j]]
        return math.prod((s - other) / (places[j] - other) for other in others)

    plain = lagrange_integrals(places, start=start, end=end)
    weighed = exponential_integrals(places, start=start, end=end)
    for j in range(len(places)):
        for mine, density in (
            (plain[j], lambda s: 1.0),
            (weighed[j], lambda s: math.exp(s - end)),
        ):
            whole = integrate.quad(lambda s: basis(j, s) * density(s), start, end, epsabs=1e-13)[0]  # noqa: B023
            assert mine == pytest.approx(whole, rel=1e-9, abs=1e-11)
    assert sum(plain) == pytest.approx(end - start, rel=1e-8)
    assert sum(weighed) == pytest.approx(-math.expm1(start - end), rel=1e-8)
