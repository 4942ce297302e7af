"""Predictor-corrector against the paper's algorithms for preserved variance, and against DDPM.

For exploding variance it stands beside diffusers in test_diffusers_others.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.process import CLEAN, Denoised, FixedLarge, FixedSmall, Level, LinearSchedule, Tilt
from diffloom.testing.closed_forms import normal
from diffloom.testing.course import keyed_noise, walked
from diffloom_samplers import DDPM
from diffloom_sde import PredictorCorrector

SCHEDULE = LinearSchedule(steps=8, beta_start=0.05, beta_end=0.6)
BETAS = SCHEDULE.betas()
LEVELS = SCHEDULE.build().levels([7, 6, 5, 4, 3, 2, 1, 0])
SHAPE = (3, 2, 4, 4)


def network(x: Tensor, level: Level) -> Tensor:
    """ε, nonlinear in x."""
    return torch.tanh(0.9 * x + 0.3 * x.roll(1, 3)) + 0.1 * math.sin(level.t)


def denoise(x: Tensor, level: Level) -> Denoised:
    eps = network(x, level)
    return Denoised(x0_BCHW=(x - level.sigma * eps) / level.alpha, eps_BCHW=eps)


def paper(x: Tensor, *, corrections: int, r: float) -> list[Tensor]:
    """Song et al. 2021, algorithms 3 and 5, one sample at a time: score = −ε/sigma, alpha = 1 − β."""
    noise, ends = keyed_noise(x), []
    for index, level in enumerate(LEVELS[:-1]):
        beta = BETAS[7 - index]
        for draw in range(1, corrections + 1):
            moved = []
            for x_1, z in zip(x, noise(index, draw), strict=True):
                score = -network(x_1[None], level)[0] / level.sigma
                size = 2 * (1 - beta) * (r * z.norm() / score.norm()) ** 2
                moved.append(x_1 + size * score + (2 * size).sqrt() * z)
            x = torch.stack(moved)
        if index < 7:
            score = -network(x, level) / level.sigma
            x = (2 - math.sqrt(1 - beta)) * x + beta * score + math.sqrt(beta) * noise(index)
        else:
            x = denoise(x, level).x0_BCHW
        ends.append(x)
    return ends


@pytest.mark.parametrize("corrections", [0, 1, 2])
def test_preserved_variance(corrections: int) -> None:
    """To rounding, at every step; the last is ours, x₀ without noise."""
    walk = PredictorCorrector(predictor="reverse_diffusion", corrector_steps=corrections, snr=0.2)
    ours = walked(walk, normal(SHAPE), LEVELS, denoise)
    for step, expected in zip(ours, paper(normal(SHAPE), corrections=corrections, r=0.2), strict=True):
        torch.testing.assert_close(step.following_BCHW, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variance", [FixedSmall(), FixedLarge()])
def test_the_ancestral_predictor_is_ddpm(variance: Any) -> None:
    one, other = (
        walked(walk, normal(SHAPE), LEVELS, denoise, variance=variance)
        for walk in (PredictorCorrector(corrector_steps=0), DDPM())
    )
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a.following_BCHW, b.following_BCHW, rtol=0, atol=1e-12)


def test_a_classifiers_gradient_is_taken_at_the_mean() -> None:
    """As DDPM does (Dhariwal & Nichol 2021, algorithm 1)."""

    def tilted(x: Tensor, level: Level) -> Denoised:
        free = denoise(x, level)
        tilt = Tilt(free.x0_BCHW, lambda x, level: torch.sin(3 * x) * level.alpha)
        return Denoised(x0_BCHW=free.x0_BCHW + 0.1, eps_BCHW=free.eps_BCHW, tilt=tilt)

    plain, ours, ddpm = (
        walked(walk, normal(SHAPE), LEVELS, said, variance=FixedSmall())[0].following_BCHW
        for walk, said in (
            (PredictorCorrector(corrector_steps=0), denoise),
            (PredictorCorrector(corrector_steps=0), tilted),
            (DDPM(), tilted),
        )
    )
    torch.testing.assert_close(ours, ddpm, rtol=0, atol=1e-12)
    assert (ours - plain).abs().max() > 0.01


def test_langevin_steps_bring_a_wrong_start_home() -> None:
    """What the corrector is for: many of them at one level draw from p_t, whatever they begin with; 5 standard errors.

    For data N(0, 1) p_t is N(0, 1). A step's size keeps r·‖z‖ of ‖score‖, here 2·alpha²·r² = 0.02, whose discretisation
    adds a hundredth to the variance.
    """

    def normal_data(x: Tensor, level: Level) -> Denoised:
        return Denoised(x0_BCHW=level.alpha * x, eps_BCHW=level.sigma * x)

    walk = PredictorCorrector(corrector_steps=300, snr=0.1)
    start = torch.ones(1, 1, 100, 100, dtype=torch.float64)
    seen: list[Tensor] = []

    def watching(x: Tensor, level: Level) -> Denoised:
        seen.append(x)
        return normal_data(x, level)

    walked(walk, start, [Level(0.0, math.sqrt(0.999), math.sqrt(0.001)), CLEAN], watching)
    assert abs(float(seen[-1].mean())) < 5 / 100 + 0.02
    assert abs(float(seen[-1].var()) - 1) < 5 * math.sqrt(2 / 10_000) + 0.02
