"""Profiles of power-function averages and their combinations. Oracles: quadrature, and the averages' own recursion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize

from diffloom.training.profiles import Profile, combination, product
from diffloom_optimization import Power

profiles = st.builds(Profile, st.floats(0, 20), st.integers(1, 500))


def density(profile: Profile, tau: float) -> float:
    gamma, end = profile.exponent, profile.step
    return (gamma + 1) * (tau / end) ** gamma / end if tau <= end else 0.0


@given(profiles, profiles)
def test_products_are_integrals(one: Profile, other: Profile) -> None:
    end = min(one.step, other.step)
    expected, _ = quad(lambda tau: density(one, tau) * density(other, tau), 0, end, epsabs=0, epsrel=1e-10)
    assert product(one, other) == pytest.approx(expected, rel=1e-8)
    assert product(one, other) == product(other, one)


def steps_of(profile: Profile, steps: int) -> np.ndarray:
    """What each of the first steps has in the average after the profile's step, by the recursion it is updated with."""
    shares, left = np.zeros(steps), 1.0
    for step in range(profile.step, 0, -1):
        kept = (1 - 1 / step) ** (profile.exponent + 1)
        shares[step - 1] = left * (1 - kept)
        left *= kept
    return shares


def given_profiles(widths: tuple[float, ...], *, steps: int, every: int) -> list[Profile]:
    exponents = [Power(sigma_rel=width).exponent for width in widths]
    return [Profile(gamma, step) for step in range(every, steps + 1, every) for gamma in exponents]


def test_a_profile_that_is_there_is_taken_as_it_is() -> None:
    there = given_profiles((0.05, 0.1), steps=100, every=20)
    found = combination(there, there[5])
    assert found.error == pytest.approx(0, abs=1e-6)
    assert found.shares == pytest.approx([float(i == 5) for i in range(len(there))], abs=1e-6)


@pytest.mark.parametrize(
    ("width", "every", "error"), [(0.07, 50, 0.01), (0.07, 10, 3e-4), (0.15, 10, 1e-3), (0.25, 10, 0.02)]
)
def test_other_widths_are_met_the_nearer_the_denser_the_snapshots(
    width: float, every: int, error: float
) -> None:
    """And the error is that of what each step has in the combination, by the recursions."""
    steps = 1000
    there = given_profiles((0.05, 0.1), steps=steps, every=every)
    wanted = Profile(Power(sigma_rel=width).exponent, steps)
    found = combination(there, wanted)
    assert 0 < found.error < error
    assert found.shares.sum() == pytest.approx(1, abs=1e-12)
    made = sum(share * steps_of(profile, steps) for share, profile in zip(found.shares, there, strict=True))
    target = steps_of(wanted, steps)
    assert np.linalg.norm(made - target) / np.linalg.norm(target) == pytest.approx(found.error, rel=0.3)
    assert np.abs(found.shares).sum() < 3, "shares this small do not magnify the snapshots' rounding"


def test_it_is_the_best_of_all_that_add_up_to_one() -> None:
    """No general minimiser under the constraint finds a nearer one, from several starts."""
    there = given_profiles((0.1, 0.25), steps=30, every=10)
    wanted = Profile(Power(sigma_rel=0.15).exponent, 30)
    among = np.array([[product(one, other) for other in there] for one in there])
    towards = np.array([product(one, wanted) for one in there])

    def squared(shares: np.ndarray) -> float:
        rest = product(wanted, wanted) - 2 * shares @ towards + shares @ among @ shares
        return float(rest / product(wanted, wanted))

    found = combination(there, wanted)
    assert found.error**2 == pytest.approx(squared(found.shares), rel=1e-9)
    for seed in range(3):
        start = np.random.default_rng(seed).normal(size=len(there))
        best = minimize(squared, start, constraints={"type": "eq", "fun": lambda x: x.sum() - 1}, tol=1e-14)
        assert best.success
        assert found.error**2 <= best.fun + 1e-9
