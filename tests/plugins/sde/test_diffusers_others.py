"""LCM, predictor-corrector and RePaint against diffusers' LCM, ScoreSdeVe and RePaint schedulers, with the same noise.

In float64 every step agrees to 1e-12, in float32, their classes untouched, to 1e-5. What is driven around:

* ScoreSdeVeScheduler takes the mean length of a batch for Langevin steps: here it has a batch of one. Its sigmas are
  float32: here they are made float64.
* RePaintScheduler takes one noise for the known and the unknown part: so do we here. Its pipeline goes up a level
  later than the paper's code, and on grids coarser than the table it does so with the β of later times: here it is led
  along our legs, and asked for the β that lie between. It goes up by as many draws as there are times; together they
  are our one draw.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from diffusers import LCMScheduler, RePaintScheduler, ScoreSdeVeScheduler
from diffusers.schedulers import scheduling_lcm, scheduling_repaint, scheduling_sde_ve
from torch import Tensor

from diffloom.process import CLEAN, FixedSmall, Level
from diffloom.testing.course import course_of, walked
from diffloom_sde import LCM, PredictorCorrector, RePaint
from diffloom_sde.jumps import legs

# numpy 2 says so of every tensor that diffusers hands to it
pytestmark = pytest.mark.filterwarnings("ignore:.*__array:DeprecationWarning")

by_dtype = pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["double", "single"]
)


def difference(mine: Tensor, theirs: Tensor) -> float:
    assert mine.dtype == theirs.dtype
    return float((mine - theirs).abs().max() / theirs.abs().max())


def preserving(alphas_cumprod: Tensor, times: list[int]) -> list[Level]:
    bars = [float(alphas_cumprod[t]) for t in times]
    return [
        *(Level(t, math.sqrt(bar), math.sqrt(1 - bar)) for t, bar in zip(times, bars, strict=True)),
        CLEAN,
    ]


@by_dtype
@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("steps", [1, 4, 50])
def test_lcm(
    beside: Any,
    doubled: Any,
    monkeypatch: Any,
    *,
    dtype: torch.dtype,
    bound: float,
    prediction: str,
    steps: int,
) -> None:
    if dtype == torch.float64:
        doubled(scheduling_lcm)
    beside.dtype = dtype
    peer = LCMScheduler(prediction_type=prediction)
    peer.set_timesteps(steps)
    levels = preserving(peer.alphas_cumprod, peer.timesteps.tolist())
    x = beside.normal("start")
    ours = walked(LCM(boundary=10.0), x, levels, beside.denoise(prediction), noise=beside.noise(levels))
    plain = walked(LCM(), x, levels, beside.denoise(prediction), noise=beside.noise(levels))
    for step, without in zip(ours, plain, strict=True):
        fed = beside.normal(("step", step.index, 0))
        monkeypatch.setattr(scheduling_lcm, "randn_tensor", lambda *_, fed=fed, **__: fed)
        x = peer.step(beside.network(x, step.t), peer.timesteps[step.index], x).prev_sample
        assert difference(step.following_BCHW, x) < bound
        assert (
            difference(without.following_BCHW, x) < 1e-4
        )  # c_skip is 7e-6 at time 19, the cleanest of its grid


@by_dtype
@pytest.mark.parametrize("corrections", [0, 1, 2])
def test_predictor_corrector(
    beside: Any, doubled: Any, monkeypatch: Any, *, dtype: torch.dtype, bound: float, corrections: int
) -> None:
    if dtype == torch.float64:
        doubled(scheduling_sde_ve)
    beside.dtype, beside.shape = dtype, (1, 3, 4, 5)
    peer = ScoreSdeVeScheduler(snr=0.17, sigma_max=50.0)
    peer.set_timesteps(12)
    peer.set_sigmas(12)
    peer.discrete_sigmas = peer.discrete_sigmas.to(dtype)
    sigmas = peer.discrete_sigmas.double().flip(0).tolist()
    levels = [*(Level(float(11 - i), 1.0, sigma) for i, sigma in enumerate(sigmas)), CLEAN]
    x, denoise = 50.0 * beside.normal("start"), beside.denoise("epsilon")
    walk = PredictorCorrector(predictor="reverse_diffusion", corrector_steps=corrections, snr=0.17)
    for step in walked(walk, x, levels, denoise, noise=beside.noise(levels)):
        names = [("step", step.index, draw) for draw in (*range(1, corrections + 1), 0)]
        fed = iter([beside.normal(name) for name in names])
        monkeypatch.setattr(scheduling_sde_ve, "randn_tensor", lambda *_, fed=fed, **__: next(fed))
        for _ in range(corrections):
            score = -beside.network(x, step.t) / step.level.sigma
            x = peer.step_correct(score, x).prev_sample
        score = -beside.network(x, step.t) / step.level.sigma
        result = peer.step_pred(score, peer.timesteps[step.index], x)
        x = result.prev_sample_mean if step.next_level.is_clean else result.prev_sample
        assert difference(step.following_BCHW, x) < bound


class OneNoise:
    """The same noise for the known part and the rest, as diffusers has it, and what it adds on the way up."""

    def __init__(self, beside: Any) -> None:
        self.beside = beside
        self.up: Tensor

    def __call__(self, index: int, draw: int = 0) -> Tensor:
        """Draw 2 is the way up."""
        return self.up if draw == 2 else self.beside.normal(index)

    def between(self, current: Level, following: Level) -> Tensor:
        raise AssertionError("there is no path here")


repaints = pytest.mark.parametrize(("steps", "length", "samples"), [(10, 3, 3), (10, 10, 10), (25, 5, 2)])


@repaints
def test_repaints_schedule(steps: int, length: int, samples: int) -> None:
    peer = RePaintScheduler()
    peer.set_timesteps(steps, jump_length=length, jump_n_sample=samples)
    stands = [steps - 1]  # the number of noisy levels below
    for leg in legs(steps, jump_length=length, jump_n_sample=samples):
        stands.append(steps - 1 - leg.lands)
        stands += range(steps - leg.lands, steps - leg.end)
    gap = 1000 // steps
    assert [gap * stand for stand in stands] == [*peer.timesteps.tolist(), -gap]


@by_dtype
@repaints
def test_repaint(
    beside: Any,
    doubled: Any,
    monkeypatch: Any,
    *,
    dtype: torch.dtype,
    bound: float,
    steps: int,
    length: int,
    samples: int,
) -> None:
    """With eta 1 its DDIM step is the draw from the posterior."""
    if dtype == torch.float64:
        doubled(scheduling_repaint)
    beside.dtype = dtype
    peer = RePaintScheduler(eta=1.0, clip_sample=False)
    peer.set_timesteps(steps)
    gap = 1000 // steps
    levels = preserving(peer.alphas_cumprod, [gap * i for i in reversed(range(steps))])
    picture, mask = beside.normal("picture")[0].tanh(), beside.normal("mask")[0, 0] > 0
    walk, noise = RePaint(picture, mask, jump_length=length, jump_n_sample=samples), OneNoise(beside)
    x = beside.normal("start")
    course = course_of(x, levels, beside.denoise("epsilon"), noise=noise, variance=FixedSmall())

    def up(x: Tensor, low: Level, high: Level) -> Tensor:
        """Its way up, with noises that are the same at every call."""
        fed = (beside.normal(("up", i)) for i in itertools.count())
        monkeypatch.setattr(scheduling_repaint, "randn_tensor", lambda *_, **__: next(fed))
        for time in range(round(low.t), round(high.t), gap):
            x = peer.undo_step(x, time + 1)
        return x

    ours = iter(walk(x, course))
    for index, leg in enumerate(legs(steps, jump_length=length, jump_n_sample=samples)):
        level, lands, end = levels[leg.begin], levels[leg.lands], levels[leg.end]
        if leg.jumps:  # what it adds all the way, as a normal draw
            std = math.sqrt(end.sigma**2 - (end.alpha / lands.alpha * lands.sigma) ** 2)
            noise.up = up(torch.zeros_like(x), lands, end) / std
        step = next(ours)
        monkeypatch.setattr(scheduling_repaint, "randn_tensor", lambda *_, index=index, **__: noise(index))
        output, t = beside.network(x, level.t), round(level.t)
        x = peer.step(output, t, x, picture, mask.to(dtype)).prev_sample
        x = up(x, lands, end) if leg.jumps else x
        assert step.next_level == end
        assert difference(step.following_BCHW, x) < bound
    assert next(ours, None) is None
