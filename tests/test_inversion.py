"""From pictures to noise and back.

Oracles: diffusers' DDIMInverseScheduler, run beside ours; the error of its way there and back with DDIMScheduler for
N(0, 0.5²) under Stable Diffusion's schedule, 19.7 % at 10 steps, 3.7 % at 50 and 0.9 % at 200; the identity.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMInverseScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import diffloom
from diffloom import Pipeline
from diffloom.errors import DiffloomError
from diffloom.fixed_point import fixed_point
from diffloom.inversion import Inversion
from diffloom.process import CLEAN, Denoised, Level, ScaledLinearSchedule
from diffloom.testing.closed_forms import GaussianData, normal, preserving
from diffloom.testing.course import course_of, walked
from diffloom_samplers import DDIM
from diffloom_spacings import Leading

SCHEDULE = ScaledLinearSchedule().build()
DATA = GaussianData(0.0, 0.5)
SHAPE = (3, 1, 4, 4)


def levels(steps: int) -> tuple[Level, ...]:
    return (*Leading().levels(SCHEDULE, steps=steps), CLEAN)


def inverted(x0: Tensor, inversion: Inversion, steps: int) -> Tensor:
    *_, last = inversion(x0, course_of(x0, levels(steps), DATA))
    return last.following_BCHW


def round_trip_error(inversion: Inversion, steps: int) -> float:
    """The largest distance of a picture from itself, there and back, relative to its largest value."""
    x0 = 0.5 * normal(SHAPE)
    noise = inverted(x0, inversion, steps)
    back = walked(DDIM(), noise, levels(steps), DATA)[-1].following_BCHW
    return ((back - x0).abs().max() / x0.abs().max()).item()


def peers_noise(x: Tensor, steps: int) -> Tensor:
    """diffusers' walk upwards."""
    peer = DDIMInverseScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    peer.set_timesteps(steps)
    for t in peer.timesteps.tolist():
        x = peer.step(DATA(x, SCHEDULE.levels([t])[0]).eps_BCHW, t, x).prev_sample
    return x


@pytest.mark.parametrize("steps", [10, 50])
def test_the_first_order_inversion_is_diffusers(steps: int) -> None:
    """Their tables are float32: 2e-6 relative was seen."""
    x0 = 0.5 * normal(SHAPE)
    ours, theirs = inverted(x0, Inversion(iterations=1), steps), peers_noise(x0, steps)
    assert ((ours - theirs).abs().max() / theirs.abs().max()).item() < 1e-5


@pytest.mark.parametrize(("steps", "error"), [(10, 0.197), (50, 0.037), (200, 0.009)])
def test_the_first_order_round_trip_is_off_by_the_known_share(steps: int, error: float) -> None:
    assert round_trip_error(Inversion(iterations=1), steps) == pytest.approx(error, rel=0.05)


@pytest.mark.parametrize("steps", [10, 50])
def test_the_fixed_point_comes_back(steps: int) -> None:
    assert round_trip_error(Inversion(), steps) < 1e-4
    assert round_trip_error(Inversion(tolerance=1e-13), steps) < 1e-10


def test_a_step_up_is_undone_by_the_step_down() -> None:
    """Of any denoiser: here a nonlinear one, on a walk that ends early, as end: first does."""

    def denoise(x: Tensor, level: Level) -> Denoised:
        x0 = torch.tanh(x - 0.3 * x.roll(1, 3))
        return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)

    x, way = normal(SHAPE), preserving(12)[4:-1]
    up = list(Inversion(tolerance=1e-13)(x, course_of(x, way, denoise)))
    down = walked(DDIM(), up[-1].following_BCHW, way, denoise)
    for one, other in zip(up, reversed(down), strict=True):
        assert (one.level, one.next_level) == (other.next_level, other.level)
        torch.testing.assert_close(one.x_t_BCHW, other.following_BCHW, rtol=0, atol=1e-10)
        torch.testing.assert_close(one.x0_BCHW, other.x0_BCHW, rtol=0, atol=1e-10)


def test_rows_are_inverted_alone() -> None:
    """One that is found early waits for the others, and is not moved meanwhile."""
    x0 = normal(SHAPE) * torch.tensor([0.01, 0.5, 5.0]).view(-1, 1, 1, 1)
    together = inverted(x0, Inversion(), 10)
    for row in range(3):
        assert torch.equal(inverted(x0[row : row + 1], Inversion(), 10), together[row : row + 1])


def test_calls() -> None:
    """One for each step at first order; a handful where the fixed point is found."""
    calls: list[Level] = []

    def counted(x: Tensor, level: Level) -> Denoised:
        calls.append(level)
        return DATA(x, level)

    x0 = 0.5 * normal(SHAPE)
    list(Inversion(iterations=1)(x0, course_of(x0, levels(10), counted)))
    assert len(calls) == 10
    calls.clear()
    list(Inversion()(x0, course_of(x0, levels(10), counted)))
    assert 20 < len(calls) < 70


def test_pure_noise_leads_nowhere() -> None:
    x0, pure = normal(SHAPE), Level(999.0, 0.0, 1.0)
    with pytest.raises(DiffloomError, match=r"no signal is left at time 999.*begins at a cleaner level"):
        next(Inversion()(x0, course_of(x0, (pure, *levels(3)), DATA)))


def test_what_does_not_converge_is_told() -> None:
    """A denoiser that jumps: no x comes back to where it stands."""

    def denoise(x: Tensor, level: Level) -> Denoised:
        eps = torch.where(x > 0, -1.0, 1.0).to(x.dtype)
        return Denoised(x0_BCHW=(x - level.sigma * eps) / level.alpha, eps_BCHW=eps)

    x0 = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    with pytest.raises(
        DiffloomError, match=r"the step to time 0 still changes by .* after 20 iterations; take more steps"
    ):
        list(Inversion(iterations=20)(x0, course_of(x0, levels(3), denoise)))
    assert len(list(Inversion(iterations=1)(x0, course_of(x0, levels(3), denoise)))) == 3


@settings(max_examples=30)
@given(
    slopes=st.lists(st.floats(-6, 0.9), min_size=1, max_size=4),
    scale=st.floats(1e-3, 1e3),
)
def test_fixed_points_of_lines(slopes: list[float], scale: float) -> None:
    """x = a·x + b is at b/(1 − a), though a below −1 leads a plain iteration away; each row has slopes of its own."""
    a = torch.tensor([slopes, slopes[::-1]], dtype=torch.float64)
    b = scale * torch.linspace(1, 2, a.numel(), dtype=torch.float64).view_as(a)
    x, change_B = fixed_point(lambda x: a * x + b, torch.zeros_like(b), iterations=200, tolerance=1e-12)
    assert bool((change_B <= 1e-12).all())
    torch.testing.assert_close(x, b / (1 - a), rtol=1e-9, atol=1e-9 * scale)


def test_the_first_iteration_is_the_function_itself() -> None:
    x, change_B = fixed_point(lambda x: x + 1, torch.ones(2, 3), iterations=1, tolerance=1e-5)
    assert torch.equal(x, torch.full((2, 3), 2.0))
    assert torch.equal(change_B, torch.full((2,), 0.5))


@pytest.fixture(scope="module")
def oracle(configs: Path) -> Pipeline:
    """A model whose network is the exact denoiser of a mixture, with Stable Diffusion's schedule."""
    exact = [
        "backbone={type: oracle, std: 0.2}",
        "schedule={type: scaled_linear}",
        "sampling.spacing=leading",
    ]
    return diffloom.build(configs / "digits.yaml", exact, device="cpu")


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_pipelines_pictures_come_back(oracle: Pipeline, guidance: float) -> None:
    """With guidance the walk up repels, and what is left of a step's 1e-5 grows with it."""
    asked = {"label": [3, 7, 1], "guidance": guidance, "steps": 20}
    pictures = oracle.sample(**asked, seed=4).tensor
    noise = oracle.invert(pictures, **asked)
    assert noise.shape == (3, 1, 8, 8)
    back = oracle.sample(**asked, sampler="ddim", start=noise).tensor
    assert (back - pictures).abs().max() < (1e-4 if guidance == 1 else 2e-3)
    rough = oracle.invert(pictures, **asked, fixed_point_iterations=1)
    off = oracle.sample(**asked, sampler="ddim", start=rough).tensor
    assert (off - pictures).abs().max() > 0.02


def test_batches_change_nothing(oracle: Pipeline) -> None:
    asked = {"label": [3, 7, 1, 0, 9], "guidance": 1.0, "steps": 10}
    pictures = oracle.sample(**asked, seed=4).tensor
    whole = oracle.invert(pictures, **asked)
    parts = oracle.invert(pictures, **asked, batch_size=2)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    drawn = oracle.sample(**asked, sampler="ddim", start=whole, batch_size=2).tensor
    torch.testing.assert_close(drawn, pictures, rtol=0, atol=1e-4)


def test_a_negative_condition_is_inverted_too(oracle: Pipeline) -> None:
    asked = {"label": [3, 7], "negative": {"label": 1}, "guidance": 1.5, "steps": 20}
    pictures = oracle.sample(**asked, seed=4).tensor
    back = oracle.sample(**asked, sampler="ddim", start=oracle.invert(pictures, **asked)).tensor
    assert (back - pictures).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((3, 8, 8), {}, r"images: \(3, 8, 8\) are not pictures of this model; give \(n, 1, 8, 8\)"),
        ((2, 1, 16, 16), {}, r"images: \(2, 1, 16, 16\) are not pictures"),
        ((2, 1, 8, 8), {"label": [1, 2, 3]}, r"label: 3 values for 2 samples"),
        ((2, 1, 8, 8), {"steps": 2000}, r"sampling\.steps"),
    ],
)
def test_refusals(oracle: Pipeline, shape: tuple[int, ...], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DiffloomError, match=message):
        oracle.invert(torch.zeros(shape), **arguments)
