"""Whole trajectories against diffusers' PNDMScheduler (its PLMS mode) and IPNDMScheduler.

In float64 (their own classes, with float64 in float32's place) every step agrees to 1e-10; in float32, their classes
untouched, to 1e-5. Where the peer errs, it is driven around here, and pinned in a test:

* PNDMScheduler goes from t to t − T // N, which leaves its own grid where that is uneven. Its N is set before each
  step so that T // N is the grid's gap.
* PNDMScheduler with v_prediction averages v's of different times as if they were one, and converts the mean. Ours is
  ε's mean, whatever the network predicts: the peer is fed with ε.
* IPNDMScheduler starts without signal, where it takes 0 for the network's x₀. It is given our first step.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers import IPNDMScheduler, PNDMScheduler
from torch import Tensor

from diffloom.condition import Condition
from diffloom.process import (
    CLEAN,
    X0,
    Denoised,
    Epsilon,
    Level,
    LinearSchedule,
    ScaledLinearSchedule,
    TableSchedule,
    V,
    denoiser,
)
from diffloom.testing.course import walked
from diffloom_multistep import IPNDM, PLMS

PREDICTIONS = {"epsilon": Epsilon(), "sample": X0(), "v_prediction": V()}
SCHEDULES: dict[str, Any] = {
    "linear": LinearSchedule(),
    "scaled_linear": ScaledLinearSchedule(),
}
BETAS = {"linear": {}, "scaled_linear": {"beta_start": 0.00085, "beta_end": 0.012}}
SHAPE = (2, 3, 4, 5)
T = 1000


doubled = pytest.mark.usefixtures("in_float64")


def network(x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
    """A fixed nonlinear function of x and t that mixes channels and pixels and is not odd in x."""
    mixed = 0.8 * x - 0.4 * x.roll(1, 1) + 0.3 * x.roll(2, 3)
    return torch.tanh(mixed + 0.2) + 0.5 * torch.sin(t / 170).to(x.dtype).view(-1, 1, 1, 1)


def seen_by_network(x: Tensor, t: float) -> Tensor:
    """Its output where it is shown the time as a pipeline does, in float32."""
    return network(x, torch.full((len(x),), t, dtype=torch.float32))


def denoise_by(prediction: str) -> Any:
    convert = denoiser(network, PREDICTIONS[prediction])
    return lambda x, level: convert(x, level, Condition())


def relative(mine: Tensor, theirs: Tensor) -> float:
    assert mine.dtype == theirs.dtype
    return float((mine - theirs).abs().max() / theirs.abs().max())


def start(steps: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(steps), dtype=dtype)


def plms_error(
    peer: Any,
    schedule: str,
    steps: int,
    prediction: str,
    *,
    dtype: torch.dtype = torch.float64,
    drive: bool = True,
    fed: bool = True,
) -> float:
    """The largest relative difference of any step's end; `fed` gives the peer ε."""
    peer.set_timesteps(steps)
    calls = [int(t) for t in peer.timesteps]
    times = [*calls[:1], *calls[2:]]  # the second is called twice
    assert calls[1] == calls[2]
    ours_schedule = SCHEDULES[schedule].build()
    if dtype == torch.float32:
        ours_schedule = TableSchedule(peer.alphas_cumprod)
    levels = ours_schedule.levels(times)
    if not peer.config.set_alpha_to_one:
        levels = (*levels[:-1], ours_schedule.levels([0])[0])
    denoise = denoise_by(prediction)
    theirs = x = start(steps, dtype)
    ours = walked(PLMS(), x, levels, denoise)
    gaps = [t - s for t, s in pairwise([*times, 0 if not peer.config.set_alpha_to_one else -1])]
    ends = [None, *(step.following_BCHW for step in ours)]  # the first call only looks ahead
    at = [levels[0], levels[1], *levels[1:-1]]
    worst = 0.0
    for t, level, gap, end in zip(calls, at, [gaps[0], *gaps], ends, strict=True):
        if drive:
            peer.num_inference_steps = Fraction(T, gap)  # so that T // N is this gap
        seen = denoise(theirs, level).eps_BCHW if fed else seen_by_network(theirs, float(t))
        theirs = peer.step(seen, t, theirs).prev_sample
        if end is not None:
            worst = max(worst, relative(end, theirs))
    return worst


GRIDS = {
    "leading": {"timestep_spacing": "leading"},
    "trailing": {"timestep_spacing": "trailing"},
    "linspace": {"timestep_spacing": "linspace"},
}
by_grid = pytest.mark.parametrize("grid", GRIDS)
by_schedule = pytest.mark.parametrize("schedule", SCHEDULES)


def pndm(schedule: str, **options: Any) -> Any:
    ends = {"set_alpha_to_one": True, "skip_prk_steps": True, **options}
    return PNDMScheduler(beta_schedule=schedule, **BETAS[schedule], **ends)


@by_grid
@by_schedule
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("steps", [2, 3, 13, 20])
@doubled
def test_plms(grid: str, schedule: str, prediction: str, steps: int) -> None:
    assert plms_error(pndm(schedule, **GRIDS[grid]), schedule, steps, prediction) < 1e-10


@by_schedule
@doubled
def test_plms_that_ends_at_the_first_time(schedule: str) -> None:
    """Stable Diffusion 1's own: `set_alpha_to_one=False`, steps_offset 1."""
    peer = pndm(schedule, set_alpha_to_one=False, steps_offset=1)
    assert plms_error(peer, schedule, 20, "epsilon", drive=False) < 1e-10


@by_schedule
def test_plms_untouched_in_float32(schedule: str) -> None:
    """On even grids PNDMScheduler needs no driving."""
    for grid in ("leading", "trailing"):
        peer = pndm(schedule, **GRIDS[grid])
        error = plms_error(peer, schedule, 20, "epsilon", dtype=torch.float32, drive=False, fed=False)
        assert error < 1e-5


@doubled
def test_where_pndm_is_wrong() -> None:
    """The differences named above are real."""
    assert plms_error(pndm("linear", **GRIDS["linspace"]), "linear", 13, "epsilon", drive=False) > 0.01
    velocity = pndm("linear", prediction_type="v_prediction")
    assert plms_error(velocity, "linear", 20, "v_prediction", fed=False) > 0.01


def ipndm_error(steps: int, dtype: torch.dtype, *, given: bool = True) -> float:
    """The largest relative difference of any step's end but the first; `given` starts the peer from ours."""
    peer = IPNDMScheduler()
    peer.set_timesteps(steps)
    levels = [
        Level(t, alpha, sigma)
        for t, alpha, sigma in zip(
            peer.timesteps.tolist(), peer.alphas.tolist(), peer.betas.tolist(), strict=False
        )
    ]
    assert levels[0].alpha == 0
    x = start(steps, dtype)
    ours = walked(IPNDM(), x, [*levels, CLEAN], denoise_by("v_prediction"))
    theirs, worst = x, 0.0
    for step, t in zip(ours, peer.timesteps, strict=True):
        theirs = peer.step(seen_by_network(theirs, float(t)), t, theirs).prev_sample
        if step.index == 0:
            theirs = step.following_BCHW if given else theirs
        else:
            worst = max(worst, relative(step.following_BCHW, theirs))
    return worst


@pytest.mark.parametrize("steps", [2, 3, 8, 20])
@doubled
def test_ipndm(steps: int) -> None:
    assert ipndm_error(steps, torch.float64) < 1e-10


def test_ipndm_in_float32() -> None:
    assert ipndm_error(20, torch.float32) < 1e-5


@doubled
def test_where_ipndm_is_wrong() -> None:
    """Its first step forgets what the network said: with v, x₀ = −v there."""
    assert ipndm_error(20, torch.float64, given=False) > 0.01
    x = start(3, torch.float64)
    pure, following = Level(1.0, 0.0, 1.0), Level(0.5, math.sqrt(0.5), math.sqrt(0.5))
    (step, _) = walked(IPNDM(), x, [pure, following, CLEAN], denoise_by("v_prediction"))
    velocity = seen_by_network(x, 1.0)
    assert relative(step.following_BCHW, math.sqrt(0.5) * (x - velocity)) < 1e-12


def test_a_first_step_without_signal_averages_x0() -> None:
    """PLMS' second call, by hand: x_s = alpha·(x₀ + x₀')/2 + sigma·ε. Data of one picture never move."""
    x = start(3, torch.float64)
    pure, following = Level(1.0, 0.0, 1.0), Level(0.5, 0.8, 0.6)

    def denoise(x_t: Tensor, level: Level) -> Denoised:
        x0 = torch.full_like(x_t, level.t)
        return Denoised(x0_BCHW=x0, eps_BCHW=(x_t - level.alpha * x0) / level.sigma)

    first, _ = walked(PLMS(), x, [pure, following, CLEAN], denoise)
    torch.testing.assert_close(first.following_BCHW, 0.8 * 0.75 + 0.6 * x, rtol=0, atol=1e-14)
