"""Laws of the kind `sampler`: what a walk arrives at, on data whose perfect denoiser is known.

Data that are one picture c have the perfect denoiser x₀ = c, ε = (x_t − alpha·c)/sigma, and with it *every* correct
solver stays on the forward process: a deterministic one keeps x_t = alpha·c + sigma·ε with the ε it began with, a
stochastic one keeps x_t ~ N(alpha·c, sigma²). Short tables make an error of one index large. Data that are normal, or
a mixture, have closed solutions of the probability flow.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from diffloom.kinds import Sampler
from diffloom.process import Level, Step
from diffloom.testing.checks import Check, expect, expect_close, expect_refusal
from diffloom.testing.closed_forms import (
    GaussianData,
    MixtureData,
    exploding,
    exploding_at,
    flowing,
    flowing_at,
    normal,
    preserving,
    preserving_at,
)
from diffloom.testing.course import walked

LARGE = (1, 1, 128, 128)
"""16,384 pixels for what is tested by statistics."""
BOUND = 6.0
"""In standard errors. Four statistics at 20 levels of 5 tables: a right sampler fails with probability 8e-7."""
PURE = Level(20.0, 0.0, 1.0)
"""No signal left."""


def stays_on_the_forward_process(component: Sampler) -> None:
    """With one picture as data, x_t = alpha·c + sigma·ε at every level: exactly, or in distribution."""
    _expect_forward(component, preserving(20))


def stays_on_other_forward_processes(component: Sampler) -> None:
    """So it does where variance explodes and on straight flows, unless it refuses these levels by ValueError."""
    for levels, at in ((exploding(20), exploding_at), (flowing(20), flowing_at)):
        try:
            walked(component.build(), normal((1, 1, 2, 2)), levels, GaussianData(0.0), at=at)
        except ValueError:
            continue
        _expect_forward(component, levels, at=at)


def starts_where_it_says(component: Sampler) -> None:
    """One that `starts_pure` stays on the forward process from where no signal is left; others refuse to begin."""
    levels = (PURE, *preserving(19))
    if component.starts_pure:
        _expect_forward(component, levels)
    else:
        expect_refusal(
            lambda: walked(component.build(), normal((1, 1, 2, 2)), levels, GaussianData(0.0)),
            "a first level without signal, since starts_pure is False",
        )


def ends_where_the_levels_end(component: Sampler) -> None:
    """One that can end early stays on the forward process where no clean level comes last."""
    if component.ends_early:
        _expect_forward(component, preserving(20)[:-1])


def has_its_order(component: Sampler) -> None:
    """On the probability flow of normal data the error falls as steps^−`order`, within 0.25 of it.

    The step into the clean level is no part of the flow. From 160 to 320 steps, where the steps are short enough for
    the order to show: a fourth-order method comes within 0.3 at 80.
    """
    if component.order is None or component.own_steps:
        return
    coarse, fine = (_flow_error(component, GaussianData(0.3, 0.5), steps) for steps in (160, 320))
    order = math.log2(coarse / fine)
    expect(abs(order - component.order) <= 0.25, f"order {component.order}", f"{order:.2f}")


def is_exact_at_a_mixture(component: Sampler) -> None:
    """Two normal parts are drawn with their mean and spread by 160 steps; without fresh noise, point by point.

    6 % of the spread are 3.8 standard errors of 4096 pixels, and 3 % of the weight are 4; the seeds are fixed. A
    deterministic sampler's error also falls with the steps, by its order less a half, unless it is rounding. The data
    are those of a perfect denoiser, which a `distilled` sampler's model is not.
    """
    if component.distilled:
        return
    data = MixtureData()
    if component.stochastic:
        levels = preserving(160)
        start = data.at(levels[0], normal((1, 1, 64, 64), seed=11))
        sample = walked(component.build(), start, levels, data)[-1].following_BCHW
        error = max(abs(sample.mean().item() - data.mean), abs(sample.std().item() - data.std)) / data.std
        expect(error <= 0.06, "mean and std of the mixture within 6 %", f"{error:.3g}")
        share = (sample < -0.2).double().mean().item()  # between the parts lies little
        expect(abs(share - 0.35) <= 0.03, "35 % of the samples in the first part, within 3", f"{share:.1%}")
        return
    coarse, fine = (_flow_error(component, data, steps) for steps in (40, 160))
    expect(fine <= 0.06, "the mixture's flow within 6 % by 160 steps", f"{fine:.3g}")
    due = 4.0 ** -((component.order or 1) - 0.5)
    better = fine <= max(due * coarse, 1e-7)
    expect(
        better or component.own_steps,
        f"at most {due:.2g} of the error of 40 steps, {coarse:.3g}",
        f"{fine:.3g}",
    )


def converges_for_gaussian_data(component: Sampler) -> None:
    """Data N(m, s²) are sampled with mean m and standard deviation s, the better the more steps; not by a `distilled`
    sampler, whose model is no denoiser of theirs."""
    if component.distilled:
        return
    data = GaussianData(0.3, 0.5)
    errors = {}
    for count in (20, 80):
        levels = preserving(count)
        start = data.at(levels[0], normal(LARGE, seed=11))
        sample = walked(component.build(), start, levels, data)[-1].following_BCHW
        errors[count] = max(abs(sample.mean().item() - 0.3), abs(sample.std().item() - 0.5)) / 0.5
    floor = BOUND / math.sqrt(math.prod(LARGE))  # 0.047: what chance alone may do
    expect(errors[80] <= 0.1, "mean and std within 10 % at 80 steps", f"{errors[80]:.3g}")
    better = errors[80] <= max(0.5 * errors[20], floor)
    expect(better, f"half the error of 20 steps, {errors[20]:.3g}, at 80", f"{errors[80]:.3g}")


def _flow_error(component: Sampler, data: GaussianData | MixtureData, steps: int) -> float:
    """The largest distance from the probability flow's solution at 40 noisy levels, in standard deviations of x there.

    `steps` are 40 or a multiple. The walk starts on the solution; one of `own_steps` may have no noisy level, and is
    judged by the clean one. At a single level an error may pass through zero, or cancel against earlier ones.
    """
    levels, noise = preserving(steps + 1), torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 1, 3, 3)
    errors = []
    arrived = walked(component.build(), data.at(levels[0], noise), levels, data)
    for step in arrived if component.own_steps else arrived[steps // 40 - 1 : -1 : steps // 40]:
        level = step.next_level
        distance = (step.following_BCHW - data.at(level, noise)).abs().max().item()
        errors.append(distance / math.hypot(level.sigma, level.alpha * data.std))
    return max(errors)


def _expect_forward(
    component: Sampler, levels: tuple[Level, ...], *, at: Callable[[float], Level] = preserving_at
) -> None:
    picture = torch.sin(torch.arange(math.prod(LARGE), dtype=torch.float64)).view(LARGE)
    data, eps = GaussianData(picture), normal(LARGE, seed=3)
    steps = walked(component.build(), data.at(levels[0], eps), levels, data, at=at)
    rest = eps
    for step in steps:
        level = step.next_level
        what = f"after step {step.index} from sigma {step.level.sigma:.3g} to {level.sigma:.3g}, x_t"
        if level.is_clean or not component.stochastic:
            wanted = level.alpha * picture + level.sigma * eps
            expect_close(step.following_BCHW, wanted, within=1e-8, what=f"{what} = alpha·c + sigma·eps")
            continue
        before = rest
        rest = _expect_normal(step, picture, before, what)


def _expect_normal(step: Step, picture: Tensor, before: Tensor, what: str) -> Tensor:
    """What is left of x_t without alpha·c, in units of sigma, once it has been found standard normal."""
    level = step.next_level
    rest = (step.following_BCHW - level.alpha * picture) / level.sigma
    count = rest.numel()
    statistics = {
        "mean": rest.mean().item() * math.sqrt(count),
        "variance": (rest.square().mean().item() - 1) * math.sqrt(count / 2),
        "correlation with c": ((rest * picture).sum() / picture.square().sum().sqrt()).item(),
        # What is left of the old noise keeps its sign: no solver's correlation with it is below 0.
        "negative correlation with x_t": min((rest * before).mean().item() * math.sqrt(count), 0.0),
    }
    for name, deviation in statistics.items():
        expected = f"{what} ~ N(alpha·c, sigma²), its {name} within {BOUND:g} standard errors"
        expect(abs(deviation) <= BOUND, expected, f"{deviation:.1f}")
    return rest


CHECKS: tuple[Check, ...] = (
    stays_on_the_forward_process,
    stays_on_other_forward_processes,
    starts_where_it_says,
    ends_where_the_levels_end,
    has_its_order,
    is_exact_at_a_mixture,
    converges_for_gaussian_data,
)
