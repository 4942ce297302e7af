"""Classifier guidance, where the posterior has a closed form: Bayes' rule for Gaussians.

Data x₀ ~ N(MEAN, STD²) and a measurement y = x₀ + N(0, NOISE²) in every pixel. So x₀ given x_t is normal, y given x_t
is normal around its mean, and the classifier's log p(y | x_t) is exact at every level; p(x₀ | y) is normal too.
Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.process import CLEAN, Denoised, FixedLarge, Level, Strength
from diffloom.testing.closed_forms import GaussianData, exploding, flowing, normal, preserving
from diffloom.testing.course import walked
from diffloom_classifier import ClassifierGuide
from diffloom_classifier.guide import LogProbability
from diffloom_samplers import DDIM, DDPM

Steer = Callable[..., Callable[[Tensor, Level], Denoised]]
MEAN, STD, NOISE, Y = 0.2, 0.5, 0.3, 0.9
DATA = GaussianData(MEAN, STD)
PURE = Level(19.0, 0.0, 1.0)
NOTHING = Condition()
POSTERIOR_VARIANCE = 1 / (1 / STD**2 + 1 / NOISE**2)
POSTERIOR_MEAN = POSTERIOR_VARIANCE * (MEAN / STD**2 + Y / NOISE**2)


def log_probability(x: Tensor, level: Level, condition: Condition) -> Tensor:
    """log p(y | x_t) of each row: y ~ N(E[x₀ | x_t], var(x₀ | x_t) + NOISE²)."""
    variance = (STD * level.sigma) ** 2 / ((level.alpha * STD) ** 2 + level.sigma**2) + NOISE**2
    mean = DATA(x, level).x0_BCHW if level.sigma else x
    return (-((Y - mean) ** 2) / (2 * variance)).flatten(1).sum(1)


def towards(
    log_probability: LogProbability, *, scale: float = 2.0, interval: tuple[float, float] | None = None
) -> ClassifierGuide:
    """Scale 2 is the paper's 1: p(x)·p(y | x), Bayes' rule as it stands."""
    return ClassifierGuide(log_probability=log_probability, strength=Strength(scale=scale, interval=interval))


def denoise(x: Tensor, level: Level, condition: Condition) -> Denoised:
    return DATA(x, level)


@pytest.mark.parametrize(
    "level",
    [*preserving(5)[:-1], *exploding(3)[:-1], *flowing(3)[:-1]],
    ids=lambda level: f"{level.alpha:.3g}, {level.sigma:.3g}",
)
def test_at_scale_2_it_denoises_given_the_measurement(level: Level, steered: Steer) -> None:
    """E[x₀ | x_t, y], by Bayes' rule from three normals: the prior, x_t given x₀, and y given x₀."""
    x = DATA.at(level, normal((2, 1, 3, 3), seed=1))
    found = steered(towards(log_probability), denoise, NOTHING, NOTHING)(x, level)
    precision = 1 / STD**2 + level.alpha**2 / level.sigma**2 + 1 / NOISE**2
    wanted = (MEAN / STD**2 + level.alpha / level.sigma**2 * x + Y / NOISE**2) / precision
    torch.testing.assert_close(found.x0_BCHW, wanted, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        level.alpha * found.x0_BCHW + level.sigma * found.eps_BCHW, x, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_the_scale_less_1_multiplies_the_gradient(scale: float, steered: Steer) -> None:
    """ε − sigma·s·∇ log p(y | x_t) with the paper's s (Dhariwal & Nichol 2021, algorithm 2), the gradient by hand."""
    level = preserving(5)[2]
    x = DATA.at(level, normal((2, 1, 3, 3), seed=1))
    guide = towards(log_probability, scale=1 + scale)
    found = steered(guide, denoise, NOTHING, NOTHING)(x, level)
    spread = (level.alpha * STD) ** 2 + level.sigma**2
    variance = (STD * level.sigma) ** 2 / spread + NOISE**2
    gradient = (Y - DATA(x, level).x0_BCHW) / variance * level.alpha * STD**2 / spread
    wanted = DATA(x, level).eps_BCHW - level.sigma * scale * gradient
    torch.testing.assert_close(found.eps_BCHW, wanted, rtol=1e-10, atol=1e-10)


def test_an_ancestral_step_takes_the_gradient_at_its_mean(steered: Steer) -> None:
    """μ + Σ·(scale − 1)·∇ log p(y | x_s) at x_s = μ, and noise (algorithm 1): μ is the plain posterior mean, and the
    classifier is asked at the level that is stepped to; nothing is added into the clean level.
    """
    levels = (*preserving(6)[2:4], CLEAN)
    asked: list[Level] = []

    def watched(x: Tensor, level: Level, condition: Condition) -> Tensor:
        asked.append(level)
        return log_probability(x, level, condition)

    guided = steered(towards(watched, scale=3.0), denoise, NOTHING, NOTHING)
    x = DATA.at(levels[0], normal((2, 1, 3, 3), seed=1))
    variance = FixedLarge()
    first, last = walked(DDPM(), x, levels, guided, variance=variance)
    assert asked == [levels[0], levels[1], levels[1]], "at x_t for ε, at the mean for the step, at x_t for ε"

    (plain, _) = walked(DDPM(), x, levels, DATA, variance=variance)
    std = float(variance.std(levels[0], levels[1], DATA(x, levels[0])))
    noise = (plain.following_BCHW - _mean(x, levels[0], levels[1])) / std
    mean = _mean(x, levels[0], levels[1]).requires_grad_()
    (gradient,) = torch.autograd.grad(log_probability(mean, levels[1], NOTHING).sum(), mean)
    wanted = mean.detach() + std**2 * 2 * gradient + std * noise
    torch.testing.assert_close(first.following_BCHW, wanted, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        last.following_BCHW, DATA(last.x_t_BCHW, levels[1]).x0_BCHW, rtol=1e-10, atol=1e-10
    )


def _mean(x: Tensor, current: Level, following: Level) -> Tensor:
    """The plain posterior mean (Ho et al. 2020, eq. 7), with β = 1 − ᾱ_t/ᾱ_s."""
    beta = 1 - (current.alpha / following.alpha) ** 2
    x0 = DATA(x, current).x0_BCHW
    left = following.alpha * beta * x0 + current.alpha / following.alpha * following.sigma**2 * x
    return left / current.sigma**2


@pytest.mark.parametrize(
    ("sampler", "steps", "slack"), [(DDIM(), 200, 0.01), (DDPM(), 400, 0.01)], ids=["ddim", "ddpm"]
)
def test_samples_are_of_the_posterior(sampler: DDIM | DDPM, steps: int, slack: float, steered: Steer) -> None:
    """Mean and deviation of p(x₀ | y), by both algorithms: 4096 pixels, 5 standard errors (1 false alarm in 10⁶) and
    0.01 for the steps.
    """
    levels = preserving(steps)
    count = 4096
    guided = steered(towards(log_probability), denoise, NOTHING, NOTHING)
    x = normal((16, 1, 16, 16), seed=2)
    sample = walked(sampler, x, levels, guided)[-1].following_BCHW
    std = math.sqrt(POSTERIOR_VARIANCE)
    assert abs(float(sample.mean()) - POSTERIOR_MEAN) < 5 * std / math.sqrt(count) + slack
    assert abs(float(sample.std()) - std) < 5 * std / math.sqrt(2 * count) + slack


def test_where_no_signal_is_left_and_outside_the_interval_nothing_is_asked(steered: Steer) -> None:
    calls: list[Level] = []

    def watched(x: Tensor, level: Level, condition: Condition) -> Tensor:
        calls.append(level)
        return log_probability(x, level, condition)

    inside, outside = Level(5.0, 0.8, 0.6), Level(10.0, 0.6, 0.8)
    guide = towards(watched, interval=(0.1, 1.0))
    guided = steered(guide, denoise, NOTHING, NOTHING)
    x = normal((2, 1, 3, 3), seed=1)
    for level in (PURE, outside, inside):
        found = guided(x, level)
        plain = DATA(x, level)
        assert torch.equal(found.x0_BCHW, plain.x0_BCHW) == (level is not inside)
        assert (found.tilt is None) == (level is not inside)
    assert calls == [inside]
    for guide in (
        towards(watched),
        towards(watched, scale=1.0),
    ):
        steered(guide, denoise, NOTHING, NOTHING)(x, PURE)
    assert len(calls) == 1


def test_from_python_in_a_model(small_model: Pipeline) -> None:
    """The classifier is told each row's condition, batch by batch; a recipe says what it was, as no file can."""
    seen: list[list[int]] = []

    def brighter(x: Tensor, level: Level, condition: Condition) -> Tensor:
        assert condition.class_B is not None
        seen.append(condition.class_B.tolist())
        return (x.flatten(1).sum(1)) * condition.class_B

    guide = towards(brighter, scale=1.02)
    out = small_model.sample(label=[3, 0, 5], steps=2, guidance=guide, sampler="ddim", batch_size=2)
    assert seen == [[3, 0], [3, 0], [5], [5]]
    plain = small_model.sample(label=[3, 0, 5], steps=2, guidance=1.0, sampler="ddim").tensor
    torch.testing.assert_close(out.tensor[1], plain[1], rtol=0, atol=1e-5)
    for row in (0, 2):
        assert float(out.tensor[row].mean()) > float(plain[row].mean())
    assert "ClassifierGuide" in out.recipe["sampling"]["guidance"]
    drawn = small_model.sample(label=3, steps=2, guidance=guide, sampler="ddpm").tensor
    assert bool(drawn.isfinite().all())
