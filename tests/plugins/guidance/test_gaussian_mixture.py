"""Guidance against its closed form on a Gaussian mixture.

Each class is a mixture of two Gaussians in the plane, with full covariances; the null class is all four. A noised
Gaussian is Gaussian, so densities, scores and E[x₀ | x_t] are exact at every level. Guidance by scale s should follow
the score of p(x_t | class)^s · p(x_t)^(1−s) (Ho & Salimans 2022, section 3.2): the oracle differentiates that density's
logarithm, and never sees an x₀ or ε. Legend: J components, P = 2 coordinates, held in C of (B, C, 1, 1).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import Conversion
from diffloom.process import CLEAN, X0, Denoised, Draws, Epsilon, Level, LinearSchedule, Strength, V, denoiser
from diffloom.testing.course import walked
from diffloom_classifier import ClassifierGuide
from diffloom_guidance import ClassifierFree
from diffloom_samplers import DDIM
from diffloom_spacings import Linspace

Steer = Callable[..., Callable[[Tensor, Level], Denoised]]
SCHEDULE = LinearSchedule().build()
LINSPACE = Linspace()
SCALES = [-1.0, 0.0, 0.5, 1.0, 1.5, 3.0, 7.5]
NULL = 2

MEANS_JP = torch.tensor([[1.0, 0.5], [0.2, 1.2], [-0.8, -0.6], [-1.2, 0.7]], dtype=torch.float64)
ROOTS_JPP = 0.3 * torch.tensor(
    [[[1.0, 0.0], [0.6, 0.5]], [[0.7, 0.0], [-0.4, 1.0]], [[1.2, 0.0], [0.1, 0.4]], [[0.5, 0.0], [0.5, 0.5]]],
    dtype=torch.float64,
)
COVARIANCES_JPP = ROOTS_JPP @ ROOTS_JPP.mT
WEIGHTS_J = torch.tensor([0.3, 0.1, 0.24, 0.36], dtype=torch.float64)
MEMBERS = {0: [0, 1], 1: [2, 3], NULL: [0, 1, 2, 3]}


def noised_gaussians(chosen: list[int], level: Level) -> torch.distributions.MultivariateNormal:
    covariance = level.alpha**2 * COVARIANCES_JPP[chosen] + level.sigma**2 * torch.eye(2, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(level.alpha * MEANS_JP[chosen], covariance)


def log_density(x_BP: Tensor, label: int, level: Level) -> Tensor:
    """log p(x_t | label), up to the class's own constant weight."""
    chosen = MEMBERS[label]
    logs_BJ = noised_gaussians(chosen, level).log_prob(x_BP[:, None]) + WEIGHTS_J[chosen].log()
    return logs_BJ.logsumexp(1)


def posterior_mean(x_BP: Tensor, label: int, level: Level) -> Tensor:
    """E[x₀ | x_t, label]: each Gaussian's own, weighted by its share in the density at x_t."""
    chosen = MEMBERS[label]
    gaussians = noised_gaussians(chosen, level)
    gain_JPP = level.alpha * COVARIANCES_JPP[chosen] @ torch.linalg.inv(gaussians.covariance_matrix)
    away_BJP = x_BP[:, None] - level.alpha * MEANS_JP[chosen]
    means_BJP = MEANS_JP[chosen] + torch.einsum("jpq,bjq->bjp", gain_JPP, away_BJP)
    share_BJ = (gaussians.log_prob(x_BP[:, None]) + WEIGHTS_J[chosen].log()).softmax(1)
    return torch.einsum("bj,bjp->bp", share_BJ, means_BJP)


class ExactNetwork:
    """The perfect network for the mixture: outputs the prediction's target of the exact x₀ and its ε, row by row."""

    def __init__(self, prediction: Conversion) -> None:
        self.prediction = prediction
        self.batches: list[int] = []

    def __call__(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        self.batches.append(len(x_BCHW))
        assert condition.class_B is not None
        level = SCHEDULE.levels([float(t_B[0])])[0]
        x_BP = x_BCHW.flatten(1)
        x0_BP = torch.empty_like(x_BP)
        for label in set(condition.class_B.tolist()):
            rows = condition.class_B == label
            x0_BP[rows] = posterior_mean(x_BP[rows], label, level)
        eps_BP = (x_BP - level.alpha * x0_BP) / level.sigma
        return self.prediction.target(x0_BP, eps_BP, level.alpha, level.sigma).view_as(x_BCHW)


def labels(*values: int) -> Condition:
    return Condition(class_B=torch.tensor(values))


def guide(scale: float) -> ClassifierFree:
    return ClassifierFree(strength=Strength(scale))


def some_x(level: Level, count: int) -> Tensor:
    """Where samples are at this level, and further out."""
    draws = Draws.of(0, range(count)).normal("x", (2, 1, 1), dtype=torch.float64)
    return (level.alpha + 1.5 * level.sigma) * draws


@pytest.mark.parametrize("prediction", [Epsilon(), X0(), V()], ids=["epsilon", "x0", "v"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("t", [20.0, 150.0, 500.0, 900.0])
def test_guided_epsilon_is_the_score_of_the_sharpened_density(
    prediction: Conversion, scale: float, t: float, steered: Steer
) -> None:
    """ε = −sigma·∇ log(p(x | c)^s p(x)^(1−s)), x₀ = (x + sigma²·score) / alpha (Tweedie); labels mixed in the batch."""
    level = SCHEDULE.levels([t])[0]
    x = some_x(level, 8)
    classes = [0, 1, 1, 0, 0, 1, 0, 1]
    denoise = denoiser(ExactNetwork(prediction), prediction)
    found = steered(guide(scale), denoise, labels(*classes), labels(*[NULL] * 8))(x, level)

    points = x.flatten(1).requires_grad_()
    conditional = torch.stack(
        [log_density(p[None], c, level)[0] for p, c in zip(points, classes, strict=True)]
    )
    sharpened = scale * conditional + (1 - scale) * log_density(points, NULL, level)
    [score] = torch.autograd.grad(sharpened.sum(), points)
    score = score.view_as(x)
    # the x0 prediction divides by sigma (≥ 0.05), the epsilon prediction by alpha (≥ 0.016)
    torch.testing.assert_close(found.eps_BCHW, -level.sigma * score, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        found.x0_BCHW, (x + level.sigma**2 * score) / level.alpha, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("t", [20.0, 150.0, 500.0, 900.0])
def test_the_true_classifier_makes_the_unconditional_model_conditional(t: float, steered: Steer) -> None:
    """p(x)·p(c | x) is p(x | c)·p(c) (Bayes): at scale 2, up the gradient of log p(c | x_t), which is log p(x_t, c)
    less log p(x_t), the network that knows no class denoises as the one that is told.
    """
    level = SCHEDULE.levels([t])[0]
    x = some_x(level, 8)
    classes = [0, 1, 1, 0, 0, 1, 0, 1]

    def log_share(x_BCHW: Tensor, level: Level, condition: Condition) -> Tensor:
        points = x_BCHW.flatten(1)
        joint = [log_density(p[None], c, level)[0] for p, c in zip(points, classes, strict=True)]
        return torch.stack(joint) - log_density(points, NULL, level)

    denoise = denoiser(ExactNetwork(Epsilon()), Epsilon())
    nobody = labels(*[NULL] * 8)
    up = ClassifierGuide(log_probability=log_share, strength=Strength(2.0))
    found = steered(up, denoise, nobody, nobody)(x, level)
    told = denoise(x, level, labels(*classes))
    torch.testing.assert_close(found.eps_BCHW, told.eps_BCHW, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.x0_BCHW, told.x0_BCHW, rtol=1e-9, atol=1e-9)


def test_two_conditions_follow_the_product_of_their_densities(steered: Steer) -> None:
    """ε of p(x | 0)^1.5 · p(x | 1)^0.7 · p(x)^(1 − 1.5 − 0.7) (Liu et al. 2022, section 3.2)."""
    level = SCHEDULE.levels([300.0])[0]
    x = some_x(level, 8)
    denoise = denoiser(ExactNetwork(Epsilon()), Epsilon())
    first, second, nobody = (labels(*[c] * 8) for c in (0, 1, NULL))
    found = steered(guide(1.5), denoise, first, nobody, others=[(0.7, second)])(x, level)
    points = x.flatten(1).requires_grad_()
    log = 1.5 * log_density(points, 0, level) + 0.7 * log_density(points, 1, level)
    [score] = torch.autograd.grad((log - 1.2 * log_density(points, NULL, level)).sum(), points)
    torch.testing.assert_close(found.eps_BCHW, -level.sigma * score.view_as(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scale", SCALES)
def test_guided_x0_is_the_extrapolated_posterior_mean(scale: float, steered: Steer) -> None:
    """(1 − s)·D_unconditional + s·D_conditional at every tenth level."""
    network = ExactNetwork(V())
    for level in SCHEDULE.levels(range(0, 1000, 100))[:-1]:
        x = some_x(level, 6)
        denoise = denoiser(network, V())
        found = steered(guide(scale), denoise, labels(*[1] * 6), labels(*[NULL] * 6))(x, level)
        points = x.flatten(1)
        expected = (1 - scale) * posterior_mean(points, NULL, level) + scale * posterior_mean(
            points, 1, level
        )
        torch.testing.assert_close(found.x0_BCHW.flatten(1), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("scale", "label"), [(1.0, 0), (1.0, 1), (0.0, NULL), (2.0, NULL)])
def test_samples_have_the_mixtures_moments(scale: float, label: int, steered: Steer) -> None:
    """Scale 1 gives the class's mean and covariance, scale 0 all classes'; so does any scale without a condition.

    2000 keyed samples, 150 deterministic steps. 5 standard errors (1 false alarm in 10⁶) and 0.01 for the steps.
    """
    count = 2000
    draws = Draws.of(4, range(count))
    asked = labels(*[label if label != NULL or scale == 2.0 else 0] * count)
    denoise = denoiser(ExactNetwork(Epsilon()), Epsilon())
    guided = steered(guide(scale), denoise, asked, labels(*[NULL] * count))
    levels = (*LINSPACE.levels(SCHEDULE, steps=150), CLEAN)
    x = walked(DDIM(), draws.normal("prior", (2, 1, 1), dtype=torch.float64), levels, guided)[
        -1
    ].following_BCHW

    chosen = MEMBERS[label]
    share_J = WEIGHTS_J[chosen] / WEIGHTS_J[chosen].sum()
    mean = share_J @ MEANS_JP[chosen]
    away_JP = MEANS_JP[chosen] - mean
    covariance = torch.einsum(
        "j,jpq->pq", share_J, COVARIANCES_JPP[chosen] + away_JP[:, :, None] * away_JP[:, None]
    )
    found = x.flatten(1)
    deviation = covariance.diagonal().sqrt()
    assert bool(((found.mean(0) - mean).abs() < 5 * deviation / count**0.5 + 0.01).all())
    spread = torch.outer(
        deviation, deviation
    )  # the covariance's standard error is at most √2 of this, for Gaussians
    assert bool(((found.T.cov() - covariance).abs() < 5 * 2**0.5 * spread / count**0.5 + 0.01).all())
