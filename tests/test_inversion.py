"""From pictures to noise and back.

Oracles: diffusers' DDIMInverseScheduler and DDIMScheduler, run beside ours; the published sizes of their round trip's
error on N(0, 0.5²) under Stable Diffusion's schedule, 19.7 % at 10 steps, 3.7 % at 50 and 0.9 % at 200; the identity.
"""

from __future__ import annotations

import pytest
from diffusers import DDIMInverseScheduler
from torch import Tensor

from diffloom.inversion import Inversion
from diffloom.process import CLEAN, Level, ScaledLinearSchedule
from diffloom.testing.closed_forms import GaussianData, normal
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
