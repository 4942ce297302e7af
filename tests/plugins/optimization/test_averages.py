"""The averages diffloom brings. Oracles: published figures, closed forms, diffusers' EMAModel, EDM's rule."""

from __future__ import annotations

import pytest
import torch
from diffusers.training_utils import EMAModel
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.integrate import quad
from scipy.optimize import brentq
from torch import nn

from diffloom.training.ema import Average
from diffloom_optimization import Exponential, HalfLife, Power


def test_decay_figures() -> None:
    """min((1 + n) / (10 + n), decay) after n averages, 0 for the first."""
    held, plain = Exponential(decay=0.5), Exponential(decay=0.9999, warmup=False)
    shares = [held.remaining(step, batch_size=8) for step in range(1, 13)]
    assert shares == [0, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5, 0.5, 0.5]
    assert plain.remaining(1, batch_size=8) == 0.9999


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.9999])
def test_exponential_follows_diffusers(decay: float) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    average = Average(list(ours.parameters()), Exponential(decay=decay), batch_size=8)
    peer = EMAModel(theirs.parameters(), decay=decay)
    for step in range(1, 40):
        with torch.no_grad():
            for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
                mine.copy_(torch.randn(mine.shape, generator=generator))
                other.copy_(mine)
        average.update(step)
        peer.step(theirs.parameters())
        with average.applied():
            for mine, shadow in zip(ours.parameters(), peer.shadow_params, strict=True):
                # float32, summed in another order
                torch.testing.assert_close(mine, shadow, atol=1e-6, rtol=1e-6)


@given(st.integers(1, 10**7), st.integers(1, 4096), st.integers(1, 10**8), st.none() | st.floats(0.01, 2))
def test_half_life_follows_edm(step: int, batch_size: int, images: int, rampup: float | None) -> None:
    """EDM's training loop counts the pictures before the step, and guards its division by 1e-8 pictures."""
    seen, half_life = (step - 1) * batch_size, float(images)
    if rampup is not None:
        half_life = min(half_life, seen * rampup)
    expected = 0.5 ** (batch_size / max(half_life, 1e-8))
    came = HalfLife(images=images, rampup=rampup).remaining(step, batch_size=batch_size)
    assert came == pytest.approx(expected, rel=1e-12)


def test_half_of_it_is_gone_after_the_half_life() -> None:
    """And after as many pictures in batches of another size."""
    average = HalfLife(images=960, rampup=None)
    for batch_size in (1, 8, 96):
        left = 1.0
        for step in range(1, 960 // batch_size + 1):
            left *= average.remaining(step, batch_size=batch_size)
        assert left == pytest.approx(0.5, rel=1e-12)


FIGURES = [(0.05, 16.972199), (0.10, 6.937204), (0.15, 3.557869), (0.20, 1.826214), (0.25, 0.719824)]


@pytest.mark.parametrize(("sigma_rel", "exponent"), FIGURES)
def test_exponents_are_the_published_ones(sigma_rel: float, exponent: float) -> None:
    assert Power(sigma_rel=sigma_rel).exponent == pytest.approx(exponent, abs=1e-6)


@given(st.floats(0.003, 0.288))
def test_exponents_solve_the_paper_s_equation(sigma_rel: float) -> None:
    """σ_rel = √(γ+1) / ((γ+2)·√(γ+3)), solved by bracketing instead, on the side of its maximum that γ ≥ 0 lies on."""

    def width(gamma: float) -> float:
        return float((gamma + 1) ** 0.5 / (gamma + 2) / (gamma + 3) ** 0.5)

    solved = brentq(lambda gamma: width(gamma) - sigma_rel, 0, 1000, xtol=1e-13, rtol=1e-14)
    assert Power(sigma_rel=sigma_rel).exponent == pytest.approx(solved, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("sigma_rel", [0.05, 0.25])
def test_the_weights_it_gives_have_that_width(sigma_rel: float) -> None:
    """Deviation over the steps, as a share of 4000 of them, of what each step has in the average: to a step's width."""
    average, steps = Power(sigma_rel=sigma_rel), 4000
    weights: list[float] = []
    left = 1.0
    for step in range(steps, 0, -1):
        kept = average.remaining(step, batch_size=8)
        weights.append(left * (1 - kept))
        left *= kept
    shares = torch.tensor(weights[::-1], dtype=torch.float64)
    times = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    mean = (shares * times).sum()
    assert shares.sum().item() == pytest.approx(1, abs=1e-12)
    assert ((shares * (times - mean) ** 2).sum() ** 0.5).item() == pytest.approx(sigma_rel, abs=1e-5)


def test_each_step_has_its_part_of_the_continuous_profile() -> None:
    """∫ (γ+1)·τ^γ / t^(γ+1) dτ over [τ − 1, τ], by quadrature."""
    average, steps = Power(sigma_rel=0.2), 9
    gamma, left = average.exponent, 1.0
    for step in range(steps, 0, -1):
        kept = average.remaining(step, batch_size=8)
        part, _ = quad(lambda tau: (gamma + 1) * tau**gamma / steps ** (gamma + 1), step - 1, step)
        assert left * (1 - kept) == pytest.approx(part, abs=1e-12)
        left *= kept


@pytest.mark.parametrize("sigma_rel", [0.0, 0.29, 0.5])
def test_widths_that_no_power_has_are_refused(sigma_rel: float) -> None:
    with pytest.raises(ValidationError):
        Power(sigma_rel=sigma_rel)
