"""LCM on data whose consistency function is known, and by the kit's laws as far as they are not about guesses.

Beside diffusers' scheduler it stands in test_diffusers_others.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.process import CLEAN, Denoised, Level
from diffloom.testing.closed_forms import (
    exploding_at,
    flowing_at,
    normal,
    preserving,
    preserving_at,
)
from diffloom.testing.course import walked
from diffloom.testing.sampler import (
    calls_the_network_as_often_as_it_says,
    draws_noise_as_it_says,
    keeps_the_dtype,
    repeats_itself,
    rows_are_independent,
    takes_a_step_at_a_time,
    takes_the_noise_of_its_step,
    yields_its_steps,
)
from diffloom.testing.sampler_exactness import (
    ends_where_the_levels_end,
    starts_where_it_says,
    stays_on_other_forward_processes,
    stays_on_the_forward_process,
)
from diffloom_sde import LCM, LCMSampler

AT = {"preserving": preserving_at, "exploding": exploding_at, "flowing": flowing_at}


def consistent(x: Tensor, level: Level) -> Denoised:
    """Where the flow of data N(0.3, 0.5²) takes x: mean and spread are scaled to the data's."""
    spread = math.hypot(0.5 * level.alpha, level.sigma)
    x0 = 0.3 + 0.5 / spread * (x - 0.3 * level.alpha)
    return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)


@pytest.mark.parametrize("at", AT.values(), ids=AT)
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_consistency_model_is_sampled_exactly(at: Any, steps: int) -> None:
    """In any number of steps (Song et al. 2023, theorem 1 with no error): 5 standard errors, 6 figures, 3·10⁻⁶."""
    levels = [*(at(-9 + 3 * i) for i in range(steps)), CLEAN]
    eps = normal((1, 1, 100, 100), seed=3)
    start = 0.3 * levels[0].alpha + math.hypot(0.5 * levels[0].alpha, levels[0].sigma) * eps
    sample = walked(LCM(), start, levels, consistent)[-1].following_BCHW
    assert abs(float(sample.mean()) - 0.3) < 5 * 0.5 / 100
    assert abs(float(sample.var()) / 0.25 - 1) < 5 * math.sqrt(2 / 10_000)


@pytest.mark.parametrize(
    "law",
    [
        yields_its_steps,
        takes_a_step_at_a_time,
        calls_the_network_as_often_as_it_says,
        draws_noise_as_it_says,
        takes_the_noise_of_its_step,
        rows_are_independent,
        repeats_itself,
        keeps_the_dtype,
        stays_on_the_forward_process,
        stays_on_other_forward_processes,
        starts_where_it_says,
        ends_where_the_levels_end,
    ],
)
def test_the_kits_laws(law: Any) -> None:
    """All but those whose denoisers guess the mean of the data: for one picture the guess is the answer."""
    law(LCMSampler())


def test_boundary_scalings() -> None:
    """c_skip and c_out of Luo et al. 2023: at time t of a table s = 10·t, sigma_data 1/2."""
    x, (level, *_) = normal((1, 1, 3, 3)), preserving(20)
    (step,) = walked(LCM(boundary=0.1), x, [level, CLEAN], consistent)
    s = 0.1 * level.t
    expected = 0.25 / (s**2 + 0.25) * x + s / math.sqrt(s**2 + 0.25) * step.x0_BCHW
    torch.testing.assert_close(step.following_BCHW, expected, rtol=0, atol=1e-14)
