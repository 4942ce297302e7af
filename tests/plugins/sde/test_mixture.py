"""Samples of a mixture of three normals in the plane: their mean, covariance and shares are the data's.

Each pixel of two channels is a sample by itself. Figures are bounded at 5 standard errors and the error of 80 steps: a
false alarm in 2·10⁶ for each of eight, 5·10⁻⁵ for the file. Draws are keyed, so that what passes once always passes.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from diffloom.kinds import Walk
from diffloom.process import CLEAN, Denoised, Draws, FixedSmall, Level
from diffloom.testing.closed_forms import exploding_at, preserving_at
from diffloom.testing.course import walked
from diffloom_sde import ODE, DPMpp2MSDE, DPMpp3MSDE, DPMppSDE, PredictorCorrector, SASolver

SHAPE = (1, 2, 100, 100)
COUNT = 10_000
WEIGHTS = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
MEANS = torch.tensor([[-1.0, 0.5], [0.4, -0.8], [0.9, 1.0]], dtype=torch.float64)
COVARIANCES = torch.tensor(
    [[[0.04, 0.03], [0.03, 0.05]], [[0.02, 0.0], [0.0, 0.06]], [[0.05, -0.02], [-0.02, 0.03]]],
    dtype=torch.float64,
)


def shares(x_N2: Tensor, level: Level) -> Tensor:
    """P(part | x_t), (N, 3)."""
    spread = level.alpha**2 * COVARIANCES + level.sigma**2 * torch.eye(2, dtype=torch.float64)
    parts = torch.distributions.MultivariateNormal(level.alpha * MEANS, spread)
    return (parts.log_prob(x_N2[:, None]) + WEIGHTS.log()).softmax(1)


def denoise(x: Tensor, level: Level) -> Denoised:
    """The perfect denoiser: each part's own, alpha·S·(alpha²·S + sigma²)⁻¹ its gain, weighed by its share."""
    x_N2 = x.permute(0, 2, 3, 1).reshape(-1, 2)
    spread = level.alpha**2 * COVARIANCES + level.sigma**2 * torch.eye(2, dtype=torch.float64)
    gain = level.alpha * COVARIANCES @ torch.linalg.inv(spread)
    away_N32 = x_N2[:, None] - level.alpha * MEANS
    means_N32 = MEANS + torch.einsum("jab,njb->nja", gain, away_N32)
    x0 = torch.einsum("nj,nja->na", shares(x_N2, level), means_N32)
    x0 = x0.view(len(x), *x.shape[2:], 2).permute(0, 3, 1, 2)
    return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)


def data() -> Tensor:
    """Samples of the mixture, shaped as x."""
    draws = Draws.of(21, [0])
    (uniform,) = (torch.from_numpy(g.random(COUNT)) for g in draws.generators("part"))
    part = torch.bucketize(uniform, WEIGHTS.cumsum(0)[:2])
    normal = draws.normal("within", (COUNT, 2), dtype=torch.float64)[0]
    x_N2 = MEANS[part] + torch.einsum("nab,nb->na", torch.linalg.cholesky(COVARIANCES)[part], normal)
    return x_N2.view(1, *SHAPE[2:], 2).permute(0, 3, 1, 2)


def expect_the_mixture(x: Tensor, level: Level, *, bias: float) -> None:
    """Mean, covariance and shares of x_t at a level, each within 5 standard errors and `bias`."""
    x_N2 = x.permute(0, 2, 3, 1).reshape(-1, 2)
    mean = WEIGHTS @ MEANS
    second = torch.einsum("j,jab->ab", WEIGHTS, COVARIANCES + MEANS[:, :, None] * MEANS[:, None])
    due = level.alpha**2 * (second - mean[:, None] * mean) + level.sigma**2 * torch.eye(2)
    away = x_N2 - level.alpha * mean
    products = away[:, :, None] * away[:, None]
    assert ((x_N2.mean(0) - level.alpha * mean).abs() < 5 * x_N2.std(0) / math.sqrt(COUNT) + bias).all()
    assert ((products.mean(0) - due).abs() < 5 * products.std(0) / math.sqrt(COUNT) + bias).all()
    deviation = (5 * (WEIGHTS * (1 - WEIGHTS) / COUNT).sqrt()) + bias
    assert ((shares(x_N2, level).mean(0) - WEIGHTS).abs() < deviation).all()


WALKS: dict[str, tuple[Walk, float]] = {
    "dpmpp_sde": (DPMppSDE(), 0.005),
    "dpmpp_sde at half": (DPMppSDE(eta=0.5), 0.005),
    "2m": (DPMpp2MSDE(), 0.005),
    "2m heun at half": (DPMpp2MSDE(eta=0.5, solver_type="heun"), 0.005),
    "3m": (DPMpp3MSDE(), 0.005),
    "sa": (SASolver(), 0.005),
    "sa in between": (SASolver(tau=0.8, s_min=0.05, s_max=1.0, predictor_order=3, corrector_order=3), 0.005),
    "ancestral": (PredictorCorrector(corrector_steps=0), 0.03),  # of weak order 1
    "ancestral, corrected": (PredictorCorrector(), 0.03),
    "ode": (ODE(), 0.005),
}


def test_the_data_are_the_mixture() -> None:
    expect_the_mixture(data(), preserving_at(30.0), bias=0.0)


@pytest.mark.parametrize(("walk", "bias"), WALKS.values(), ids=WALKS)
def test_the_samples_are_the_mixture(walk: Walk, bias: float) -> None:
    levels = [*(preserving_at(-9 + 18 * i / 80) for i in range(81)), CLEAN]
    eps = Draws.of(22, [0]).normal("start", SHAPE[1:], dtype=torch.float64)
    start = levels[0].alpha * data() + levels[0].sigma * eps
    steps = walked(walk, start, levels, denoise, variance=FixedSmall())
    expect_the_mixture(steps[-1].following_BCHW, preserving_at(9.0), bias=bias)


@pytest.mark.parametrize("corrections", [0, 1])
def test_reverse_diffusion_needs_short_steps(corrections: int) -> None:
    """On exploding variance, as published: 400 steps and the bias of first order that they leave."""
    levels = [*(exploding_at(-7 + 16 * i / 400) for i in range(401)), CLEAN]
    eps = Draws.of(22, [0]).normal("start", SHAPE[1:], dtype=torch.float64)
    walk = PredictorCorrector(predictor="reverse_diffusion", corrector_steps=corrections)
    steps = walked(walk, data() + levels[0].sigma * eps, levels, denoise)
    expect_the_mixture(steps[-1].following_BCHW, exploding_at(9.0), bias=0.03)
