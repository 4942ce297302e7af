"""Exact solutions of the flow. Oracles: the probability-flow ODE by finite differences, and the forward process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from diffloom.process import CLEAN, Draws, Level
from diffloom.testing.closed_forms import exploding_at, flowing_at, normal, preserving_at
from diffloom.testing.oracle import GaussianMixture, carried

PATHS = pytest.mark.parametrize("path", [preserving_at, exploding_at, flowing_at])


def single(mixture: GaussianMixture) -> GaussianMixture:
    """The first Gaussian alone."""
    return GaussianMixture(
        mixture.means_JCHW[:1], mixture.stds_J[:1], torch.ones(1).double(), torch.tensor([0])
    )


@PATHS
@pytest.mark.parametrize("many", [False, True], ids=["gaussian", "line"])
def test_it_solves_the_ode(
    path: Callable[[float], Level], many: bool, line: GaussianMixture, pictures: GaussianMixture
) -> None:
    """d(x/alpha)/d(sigma/alpha) = ε (Song et al. 2020, eq. 14), by central differences over 2e-4 in log-SNR."""
    mixture = line if many else single(pictures)
    before, start, after = path(-1.0001), path(-1.0), path(-0.9999)
    x = (start.alpha + start.sigma) * normal((40, *mixture.shape))
    moved = [carried(mixture, x, start, level) / level.alpha for level in (before, after)]
    slope = (moved[1] - moved[0]) / (after.ratio - before.ratio)
    torch.testing.assert_close(slope, mixture.denoise(x, start).eps_BCHW, rtol=1e-6, atol=1e-6)


@PATHS
def test_the_way_back_is_the_way(path: Callable[[float], Level], line: GaussianMixture) -> None:
    start, end = path(-9.0), path(4.0)
    x = start.sigma * torch.linspace(-3, 3, 41, dtype=torch.float64).view(-1, 1, 1, 1)
    there = carried(line, x, start, end)
    assert bool((there.flatten().diff() > 0).all())
    torch.testing.assert_close(carried(line, there, end, start), x, rtol=1e-9, atol=1e-9)


def test_both_forms_agree_where_both_hold(line: GaussianMixture) -> None:
    """Two Gaussians with one mean are one."""
    alone = single(line)
    twice = GaussianMixture(
        alone.means_JCHW.repeat(2, 1, 1, 1),
        alone.stds_J.repeat(2),
        torch.full((2,), 0.5).double(),
        torch.tensor([0, 0]),
    )
    start, end = flowing_at(-5.0), flowing_at(3.0)
    x = normal((50, 1, 1, 1))
    torch.testing.assert_close(
        carried(twice, x, start, end), carried(alone, x, start, end), rtol=1e-12, atol=1e-13
    )


def test_noise_is_carried_to_the_data(line: GaussianMixture) -> None:
    """From almost pure noise to clean: the samples are the mixture's.

    5,000 quantiles' moments; 5 standard errors, one false alarm in 10⁶.
    """
    start, count = preserving_at(-25.0), 5000
    x = Draws.of(2, range(count)).normal("prior", (1, 1, 1), dtype=torch.float64)
    x0 = carried(line, x, start, CLEAN)
    mean, variance = (value.item() for value in line.moments())
    assert abs(x0.mean().item() - mean) < 5 * (variance / count) ** 0.5
    error_J = (line.found_weights(x0) - line.weights_J).abs()
    assert bool((error_J < 5 * (line.weights_J / count).sqrt()).all())


def test_a_mixture_of_pictures_is_refused(pictures: GaussianMixture) -> None:
    with pytest.raises(ValueError, match="no closed form; take fine steps"):
        carried(pictures, normal((1, 2, 2, 2)), preserving_at(-2.0), preserving_at(2.0))
