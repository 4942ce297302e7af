"""The mixture's closed forms. Oracles: torch.distributions, automatic differentiation, quadrature over x₀, and samples.

Legend: B batch, J Gaussians, P pixels, Q points of quadrature.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from diffloom.process import CLEAN, Draws, Level
from diffloom.testing.closed_forms import exploding_at, flowing_at, normal, preserving_at
from diffloom.testing.oracle import GaussianMixture

LEVELS = st.builds(
    lambda path, log_snr: path(log_snr),
    st.sampled_from([preserving_at, exploding_at, flowing_at]),
    st.floats(-12, 9),
)
IDS = torch.tensor([0, 1, 2, 3, 0, 1])


def peer(mixture: GaussianMixture, level: Level, label: int) -> MixtureSameFamily:
    """torch's mixture of the noised Gaussians of a class; the class after the last is all of them."""
    chosen = (mixture.classes_J == label) | torch.tensor(label == mixture.classes)
    means_JP = level.alpha * mixture.means_JCHW.flatten(1)[chosen]
    deviation_J = (level.alpha**2 * mixture.stds_J**2 + level.sigma**2).sqrt()[chosen]
    gaussians = Independent(Normal(means_JP, deviation_J[:, None].expand_as(means_JP)), 1)
    return MixtureSameFamily(Categorical(mixture.weights_J[chosen]), gaussians)


@given(level=LEVELS)
def test_the_density_is_that_of_torch(pictures: GaussianMixture, level: Level) -> None:
    x_t = (level.alpha + level.sigma) * normal((len(IDS), 2, 2, 2))
    found_B = pictures.log_density(x_t, level, IDS)
    wanted_B = torch.stack(
        [
            peer(pictures, level, int(i)).log_prob(x.flatten())  # type: ignore[no-untyped-call]
            for i, x in zip(IDS, x_t, strict=True)
        ]
    )
    torch.testing.assert_close(found_B, wanted_B, rtol=1e-12, atol=1e-10)


@given(level=LEVELS)
def test_score_and_denoiser_are_the_densitys_gradient(pictures: GaussianMixture, level: Level) -> None:
    """Tweedie: ε = −sigma·∇log p, x₀ = (x_t + sigma²·∇log p)/alpha. The sums x_t + … cancel to 1e-16 of x_t."""
    x_t = ((level.alpha + level.sigma) * normal((len(IDS), 2, 2, 2))).requires_grad_()
    (gradient,) = torch.autograd.grad(pictures.log_density(x_t, level, IDS).sum(), x_t)
    x_t = x_t.detach()
    torch.testing.assert_close(pictures.score(x_t, level, IDS), gradient, rtol=1e-10, atol=1e-10)
    found = pictures.denoise(x_t, level, IDS)
    torch.testing.assert_close(found.eps_BCHW, -level.sigma * gradient, rtol=1e-9, atol=1e-9)
    error = level.alpha * found.x0_BCHW - (x_t + level.sigma**2 * gradient)
    assert error.abs().max().item() <= 1e-13 * (1 + level.sigma)


@settings(max_examples=40)
@given(level=LEVELS, label=st.integers(0, 2))
def test_the_belief_is_bayes_rule(line: GaussianMixture, level: Level, label: int) -> None:
    """E[x₀ | x_t] and Var[x₀ | x_t] as integrals over x₀ of prior × likelihood, on a fine grid."""
    x_t_B = level.alpha * torch.tensor([-0.9, 0.1, 0.8]).double() + level.sigma * torch.tensor(
        [0.5, -1.0, 1.5]
    )
    # the posterior is narrow where sigma is: a grid of ±12 of the likelihood's or the prior's deviations about x_t
    width = min(2.5, 12 * level.sigma / level.alpha)
    middle_B = (x_t_B / level.alpha).clamp(-2, 2) if width < 2.5 else torch.zeros(3).double()
    x0_BQ = middle_B[:, None] + torch.linspace(-width, width, 5001, dtype=torch.float64)
    log_prior_BQ = line.log_density(x0_BQ.reshape(-1, 1, 1, 1), CLEAN, torch.full((x0_BQ.numel(),), label))
    log_joint_BQ = (
        log_prior_BQ.view_as(x0_BQ) - ((x_t_B[:, None] - level.alpha * x0_BQ) / level.sigma) ** 2 / 2
    )
    weights_BQ = log_joint_BQ.softmax(1)
    mean_B = (weights_BQ * x0_BQ).sum(1)
    variance_B = (weights_BQ * (x0_BQ - mean_B[:, None]) ** 2).sum(1)
    found = line.belief(x_t_B.view(-1, 1, 1, 1), level.alpha, level.sigma, torch.full((3,), label))
    torch.testing.assert_close(found.x0_BCHW.flatten(), mean_B, rtol=0, atol=1e-7)
    torch.testing.assert_close(found.variance_BCHW.flatten(), variance_B, rtol=1e-6, atol=1e-9)


def test_no_class_is_the_null_class_and_every_row_has_its_own_level(pictures: GaussianMixture) -> None:
    level, other = preserving_at(0.0), preserving_at(-3.0)
    x_t = normal((2, 2, 2, 2))
    null_B = torch.full((2,), pictures.classes)
    assert torch.equal(pictures.denoise(x_t, level).x0_BCHW, pictures.denoise(x_t, level, null_B).x0_BCHW)
    alpha_B = torch.tensor([level.alpha, other.alpha], dtype=torch.float64).view(-1, 1, 1, 1)
    sigma_B = torch.tensor([level.sigma, other.sigma], dtype=torch.float64).view(-1, 1, 1, 1)
    together = pictures.belief(x_t, alpha_B, sigma_B).x0_BCHW
    for row, own in enumerate((level, other)):
        alone = pictures.denoise(x_t[row : row + 1], own).x0_BCHW
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-14)


@pytest.mark.parametrize("label", [0, 1, 2, 3, None])
def test_samples_have_the_mixtures_moments_and_weights(pictures: GaussianMixture, label: int | None) -> None:
    """4,000 keyed samples; 5 standard errors, where 81 statistics give one false alarm in 2·10⁴."""
    count = 4000
    ids_B = None if label is None else torch.full((count,), label)
    x0_BP = pictures.sample(Draws.of(1, range(count)), ids_B).flatten(1)
    mean, covariance_PP = pictures.moments(label)
    variance_P = covariance_PP.diagonal()
    assert bool(((x0_BP.mean(0) - mean.flatten()).abs() < 5 * (variance_P / count).sqrt()).all())
    away_BP = x0_BP - mean.flatten()
    products_BPP = away_BP[:, :, None] * away_BP[:, None]
    error_PP = products_BPP.mean(0) - covariance_PP
    assert bool((error_PP.abs() < 5 * products_BPP.std(0) / math.sqrt(count)).all())
    known = torch.ones(6) if label in (3, None) else (pictures.classes_J == label)
    weights_J = pictures.weights_J * known / (pictures.weights_J * known).sum()
    x0_BCHW = x0_BP.view(-1, 2, 2, 2)
    # its shares are means over samples in [0, 1]: their standard error is at most that of a coin
    found_J = pictures.belief(x0_BCHW, 1.0, 0.0, ids_B).shares_BJ.mean(0)
    assert bool(((found_J - weights_J).abs() <= 5 * (weights_J / count).sqrt()).all())
    if label is None:
        torch.testing.assert_close(pictures.found_weights(x0_BCHW), found_J)


def test_a_sample_depends_on_its_key_alone(pictures: GaussianMixture) -> None:
    whole = pictures.sample(Draws.of(1, range(5)), torch.tensor([0, 1, 2, 3, 0]))
    assert torch.equal(pictures.sample(Draws.of(1, [3]), torch.tensor([3])), whole[3:4])


def test_the_entropy_is_that_of_a_gaussian_where_there_is_one(line: GaussianMixture) -> None:
    """½·log(2πe·s²) for class 1 alone; of two far modes, one bit's worth of nats more."""
    alone = GaussianMixture(line.means_JCHW[:1], line.stds_J[:1], torch.ones(1).double(), torch.tensor([0]))
    exact = math.log(2 * math.pi * math.e * 0.2**2) / 2
    found, error = alone.entropy(Draws.of(0, range(4000)))
    assert abs(found - exact) < 5 * error < 0.1
    far = torch.tensor([-9.0, 9.0]).double().view(-1, 1, 1, 1)
    two = GaussianMixture(far, line.stds_J[:2], torch.full((2,), 0.5).double(), torch.tensor([0, 0]))
    found, error = two.entropy(Draws.of(0, range(4000)))
    assert abs(found - exact - math.log(2)) < 5 * error < 0.1


def test_predictions_come_in_the_dtype_of_x(pictures: GaussianMixture) -> None:
    x_t, level = normal((2, 2, 2, 2), dtype=torch.float32), preserving_at(0.0)
    found = pictures.denoise(x_t, level)
    assert found.x0_BCHW.dtype == found.eps_BCHW.dtype == torch.float32
    exact: Tensor = pictures.denoise(x_t.double(), level).x0_BCHW
    torch.testing.assert_close(found.x0_BCHW, exact.float(), rtol=0, atol=0)
