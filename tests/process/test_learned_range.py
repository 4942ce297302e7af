"""The learned variance against diffusers' DDPMScheduler and guided-diffusion's formula written out; its two ends are
the fixed variances.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.schedulers import scheduling_ddpm
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffloom.kinds import Schedule
from diffloom.process import (
    CLEAN,
    CosineSchedule,
    Denoised,
    FixedLarge,
    FixedSmall,
    LearnedRange,
    LearnedRangeVariance,
    Level,
    LinearSchedule,
    Posterior,
    TableSchedule,
    perturbed,
)

SCHEDULES: dict[str, Schedule] = {"linear": LinearSchedule(), "squaredcos_cap_v2": CosineSchedule()}
"""By their names at diffusers."""
SHAPE = (2, 3, 4, 5)
LINEAR = LinearSchedule().build()

by_schedule = pytest.mark.parametrize("schedule", SCHEDULES)
by_grid = pytest.mark.parametrize("steps", [1000, 50, 13])


def given_by_network(raw_BCHW: Tensor, x0_BCHW: Tensor | None = None) -> Denoised:
    """What a denoiser passes on; ε plays no part."""
    x0_BCHW = torch.zeros_like(raw_BCHW) if x0_BCHW is None else x0_BCHW
    return Denoised(x0_BCHW=x0_BCHW, eps_BCHW=torch.zeros_like(raw_BCHW), variance_BCHW=raw_BCHW)


def std(current: Level, following: Level, raw: float) -> float:
    """Of a single pixel, in float64."""
    denoised = given_by_network(torch.full((1, 1, 1, 1), raw, dtype=torch.float64))
    return float(LearnedRange().std(current, following, denoised))


@by_schedule
@by_grid
def test_diffusers(schedule: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step of its grid, the last one too, on its table put into float64; outputs beyond ±1 included."""
    peer: Any = DDPMScheduler(
        beta_schedule=schedule,
        variance_type="learned_range",
        prediction_type="sample",
        clip_sample=False,
    )
    peer.alphas_cumprod = peer.alphas_cumprod.double()
    peer.set_timesteps(steps)
    times = peer.timesteps.tolist()
    levels = TableSchedule(peer.alphas_cumprod).levels(times)
    generator = torch.Generator().manual_seed(steps)
    for index, t in enumerate(times):
        x_BCHW, x0_BCHW, raw_BCHW, noise_BCHW = torch.randn(
            (4, *SHAPE), generator=generator, dtype=torch.float64
        )

        def fed(*args: Any, noise: Tensor = noise_BCHW, **options: Any) -> Tensor:
            return noise

        monkeypatch.setattr(scheduling_ddpm, "randn_tensor", fed)
        expected = peer.step(torch.cat([x0_BCHW, raw_BCHW], dim=1), t, x_BCHW).prev_sample
        current, following = levels[index : index + 2]
        mean = Posterior.between(current, following).mean(x_BCHW, x0_BCHW)
        ours = LearnedRange().std(current, following, given_by_network(raw_BCHW, x0_BCHW))
        got = perturbed(mean, ours, fed, index)
        # peer's 1 − ᾱ_t/ᾱ_s cancels to 1e-12 where it is 1e-4
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)


@by_schedule
@by_grid
def test_guided_diffusion(schedule: str, steps: int) -> None:
    """Its `p_mean_variance` over the β that its `SpacedDiffusion` makes of the times it keeps; float64 numpy."""
    betas = np.asarray(SCHEDULES[schedule].betas())  # type: ignore[attr-defined]
    cumulative = np.cumprod(1 - betas)
    times = np.round(np.linspace(0, 999, steps)).astype(int)
    kept = cumulative[times]
    before = np.append(1.0, kept[:-1])
    betas = 1 - kept / before
    posterior = betas * (1 - before) / (1 - kept)
    log_small = np.log(np.append(posterior[1], posterior[1:]))  # posterior_log_variance_clipped
    log_large = np.log(betas)
    raw = np.random.default_rng(steps).uniform(-1.2, 1.2, SHAPE)
    share = (raw + 1) / 2
    levels = SCHEDULES[schedule].build().levels(times[::-1].tolist())
    for index, (current, following) in zip(reversed(range(1, steps)), pairwise(levels[:-1]), strict=True):
        expected = np.exp(0.5 * (share * log_large[index] + (1 - share) * log_small[index]))
        got = LearnedRange().std(current, following, given_by_network(torch.from_numpy(raw)))
        # its 1 − ᾱ_t/ᾱ_s cancels, as above
        torch.testing.assert_close(got, torch.from_numpy(expected), rtol=1e-11, atol=0)


TIMES = st.lists(st.integers(0, 999), min_size=2, max_size=2, unique=True)
OUTPUT = st.floats(-2, 2)


@given(times=TIMES, raw=OUTPUT, other=OUTPUT)
def test_it_leads_from_the_small_to_the_large_evenly_in_the_logarithm(
    times: list[int], raw: float, other: float
) -> None:
    current, following, _ = LINEAR.levels(sorted(times, reverse=True))
    nothing = given_by_network(torch.zeros(1, 1, 1, 1))
    small, large = (fixed.std(current, following, nothing) for fixed in (FixedSmall(), FixedLarge()))
    # one logarithm and one exponential of float64, a few units in the last place each
    assert std(current, following, -1.0) == pytest.approx(small, rel=1e-14)
    assert std(current, following, 1.0) == pytest.approx(large, rel=1e-14)
    assert std(current, following, 0.0) == pytest.approx(math.sqrt(small * large), rel=1e-14)
    slope = math.log(large / small) / 2
    moved = math.log(std(current, following, raw) / std(current, following, other))
    assert moved == pytest.approx(slope * (raw - other), rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_pixel_has_its_own_in_the_type_of_the_picture(dtype: torch.dtype) -> None:
    current, following, _ = LINEAR.levels([400, 300])
    raw_BCHW = torch.linspace(-1, 1, math.prod(SHAPE), dtype=dtype).view(SHAPE)
    got = LearnedRange().std(current, following, given_by_network(raw_BCHW))
    assert isinstance(got, Tensor)
    assert (got.shape, got.dtype) == (SHAPE, dtype)
    assert (got.flatten().diff() > 0).all()


@pytest.mark.parametrize("t", [0, 1, 500, 999])
def test_nothing_is_added_into_the_clean_level(t: int) -> None:
    """The number 0, for which `perturbed` draws no noise."""
    given = given_by_network(torch.ones(SHAPE))
    got = LearnedRange().std(LINEAR.levels([t])[0], CLEAN, given)
    assert (type(got), got) == (float, 0.0)


def test_a_network_that_gives_none_is_a_mistake() -> None:
    bare = Denoised(x0_BCHW=torch.zeros(SHAPE), eps_BCHW=torch.zeros(SHAPE))
    current, following, _ = LINEAR.levels([400, 300])
    with pytest.raises(ValueError, match="there is none: make the denoiser with learned_variance=True"):
        LearnedRange().std(current, following, bare)


def test_the_component_builds_it() -> None:
    component = LearnedRangeVariance()
    assert type(component.build()) is LearnedRange
    assert component.learned


@pytest.mark.parametrize("raw", [-1.0, -0.3, 1.0])
def test_into_the_clean_level_the_smaller_end_is_the_second_step_s(raw: float) -> None:
    """improved-diffusion's first entry: from the clipped β̃₂ to β₁."""
    levels = LINEAR.levels([1, 0])
    least = Posterior.between(*levels[:2]).variance
    given = given_by_network(torch.full((1, 1, 1, 1), raw, dtype=torch.float64))
    found = LearnedRange().log_variance(levels[1], levels[2], given, least=least)
    share = (raw + 1) / 2
    assert float(found) == pytest.approx(share * math.log(1e-4) + (1 - share) * -9.816725, abs=5e-7)
