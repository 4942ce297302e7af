"""What stochastic samplers draw. Oracle: mean, covariance and weights of the mixture that the denoiser is exact for.

The mixture has two Gaussians in the plane, with unequal weights and deviations; each place of a picture is a sample,
its two channels the coordinates.
Legend: N samples, P = 2 coordinates, B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffloom.kinds import Sampler
from diffloom.process import CLEAN, Denoised, Level
from diffloom.testing.closed_forms import normal, preserving_at
from diffloom.testing.course import walked
from diffloom.testing.oracle import GaussianMixture

SHAPE = (1, 2, 96, 96)
"""9,216 samples."""
MIXTURE = GaussianMixture(
    means_JCHW=torch.tensor([[0.6, 0.2], [-0.5, -0.4]], dtype=torch.float64).view(2, 2, 1, 1),
    stds_J=torch.tensor([0.25, 0.15], dtype=torch.float64),
    weights_J=torch.tensor([0.35, 0.65], dtype=torch.float64),
    classes_J=torch.zeros(2, dtype=torch.int64),
)


def test_moments_and_weights_converge_at_first_order(stochastic: Sampler) -> None:
    """By 64 steps all are within 8 % of the data's, and four times the steps take away three quarters of an error.

    Of the error's expectation: chance moves both. Five standard errors are granted, six statistics for each sampler:
    of 50 right samplers one in 10⁴ sets would fail by chance alone.
    """
    coarse, _ = errors(stochastic, 16)
    fine, chance = errors(stochastic, 64)
    for name, error in fine.items():
        assert error <= 0.08 + 5 * chance[name], (name, error, chance[name])
        assert error <= coarse[name] / 3 + 5 * chance[name], (name, coarse[name], error, chance[name])


def errors(sampler: Sampler, steps: int) -> tuple[dict[str, float], dict[str, float]]:
    """How far each statistic is off, relative to the data's spread, and its standard error."""
    levels = [*(preserving_at(-9 + 18 * i / (steps - 1)) for i in range(steps)), CLEAN]
    sample = walked(sampler.build(), normal(SHAPE, seed=5), levels, everywhere)[-1].following_BCHW
    x_NP = places(sample).flatten(1)
    mean, covariance_PP = MIXTURE.moments()
    spread = covariance_PP.diagonal().mean().item()
    away_NP = x_NP - mean.flatten()
    weight_N = MIXTURE.belief(places(sample), 1.0, 0.0).shares_BJ[:, 0]
    statistics = {
        **{f"mean {p}": away_NP[:, p] / math.sqrt(spread) for p in (0, 1)},
        **{
            f"covariance {p}{q}": (away_NP[:, p] * away_NP[:, q] - covariance_PP[p, q]) / spread
            for p, q in ((0, 0), (0, 1), (1, 1))
        },
        "weight": weight_N - MIXTURE.weights_J[0],
    }
    found = {name: abs(values.mean().item()) for name, values in statistics.items()}
    return found, {name: values.std().item() / math.sqrt(len(x_NP)) for name, values in statistics.items()}


def everywhere(x_BCHW: Tensor, level: Level) -> Denoised:
    """The perfect denoiser of pictures whose places are samples, independent of each other."""
    denoised = MIXTURE.denoise(places(x_BCHW), level)
    batch, channels, height, width = x_BCHW.shape
    x0, eps = (
        value.view(batch, height, width, channels).permute(0, 3, 1, 2)
        for value in (denoised.x0_BCHW, denoised.eps_BCHW)
    )
    return Denoised(x0_BCHW=x0, eps_BCHW=eps)


def places(x_BCHW: Tensor) -> Tensor:
    """Each place of each picture as a row (N, 2, 1, 1)."""
    return x_BCHW.permute(0, 2, 3, 1).reshape(-1, x_BCHW.shape[1], 1, 1)
