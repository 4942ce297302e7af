"""Laws of the kind `guidance`. Legend: B batch, C channels, H height, W width.

The denoiser here is that of normal data whose mean depends on the class; the null class has another.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import Guidance
from diffloom.process import Denoised, Level, under
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.closed_forms import GaussianData, normal, preserving

SHAPE = (3, 2, 4, 4)
CONDITION = Condition(class_B=torch.tensor([0, 1, 2]))
NULL = Condition(class_B=torch.tensor([3, 3, 3]))


def at_1_is_the_conditional_model(component: Guidance) -> None:
    """Scale 1 changes nothing."""
    for level in preserving(5)[:-1]:
        _expect_same(_guided(component, 1.0, level), denoise(_x(), level, CONDITION), "scale 1")


def at_0_is_the_unconditional_model(component: Guidance) -> None:
    """Scale 0 forgets the condition."""
    for level in preserving(5)[:-1]:
        _expect_same(_guided(component, 0.0, level), denoise(_x(), level, NULL), "scale 0")


def grows_with_its_scale(component: Guidance) -> None:
    """A larger scale goes further from the unconditional prediction towards the conditional one."""
    for level in preserving(5)[:-1]:
        null = denoise(_x(), level, NULL).x0_BCHW
        direction = denoise(_x(), level, CONDITION).x0_BCHW - null
        ways = [
            ((_guided(component, scale, level).x0_BCHW - null) * direction).flatten(1).sum(1)
            for scale in (0.0, 0.5, 1.0, 2.0, 7.5)
        ]
        grows = all(bool((far > near).all()) for near, far in pairwise(ways))
        expect(grows, "scales 0, 0.5, 1, 2, 7.5 to go further each", [way.tolist() for way in ways])


def leaves_the_unconditional_alone(component: Guidance) -> None:
    """Where the condition is the null one there is nothing to steer by, at any scale."""
    level = preserving(5)[2]
    guide = component.model_copy(update={"scale": 3.0}).build()
    _expect_same(guide(KNOWN, NULL, NULL)(_x(), level), denoise(_x(), level, NULL), "the null condition")


def stays_consistent(component: Guidance) -> None:
    """At every scale alpha·x₀ + sigma·ε = x_t, in x's dtype; a learned variance is passed on."""
    for scale in (0.0, 0.5, 1.0, 2.0, 7.5):
        for level in preserving(5)[:-1]:
            guided = _guided(component, scale, level)
            came = level.alpha * guided.x0_BCHW + level.sigma * guided.eps_BCHW
            expect_close(came, _x(), within=1e-10, what=f"alpha·x0 + sigma·eps at scale {scale:g}")
            expect(guided.variance_BCHW is not None, "the learned variance to be passed on", None)
        single = component.model_copy(update={"scale": scale}).build()
        x0 = single(KNOWN, CONDITION, NULL)(_x().float(), preserving(5)[1]).x0_BCHW
        expect(x0.dtype == torch.float32, "float32, as x is", x0.dtype)


def rows_are_independent(component: Guidance) -> None:
    """A row is the same alone as in a batch."""
    level = preserving(5)[2]
    guide = component.model_copy(update={"scale": 2.5}).build()
    together = guide(KNOWN, CONDITION, NULL)(_x(), level)
    for row in range(len(_x())):
        rows = slice(row, row + 1)
        one, none = (c.map(lambda value: value[rows]) for c in (CONDITION, NULL))  # noqa: B023
        alone = guide(KNOWN, one, none)(_x()[rows], level)
        expect_close(alone.x0_BCHW, together.x0_BCHW[rows], within=1e-12, what=f"x0 of row {row} alone")
        expect_close(alone.eps_BCHW, together.eps_BCHW[rows], within=1e-12, what=f"eps of row {row} alone")


def denoise(x: Tensor, level: Level, condition: Condition) -> Denoised:
    """The perfect denoiser of four classes: means −0.6, −0.2, 0.2, 0.9, one standard deviation."""
    assert condition.class_B is not None
    means = torch.tensor([-0.6, -0.2, 0.2, 0.9], dtype=x.dtype)[condition.class_B].view(-1, 1, 1, 1)
    known = GaussianData(means, 0.5)(x, level)
    return Denoised(x0_BCHW=known.x0_BCHW, eps_BCHW=known.eps_BCHW, variance_BCHW=torch.tanh(x) + means)


KNOWN = under(denoise)


def asks_for_conditions_before_the_walk(component: Guidance) -> None:
    """Every condition is made known when the guided denoiser is made, none at a level: work per walk, not per step."""
    asked: list[Condition] = []

    def note(condition: Condition) -> Condition:
        asked.append(condition)
        return condition

    guided = component.model_copy(update={"scale": 2.5}).build()(under(denoise, note), CONDITION, NULL)
    before = len(asked)
    for level in preserving(5)[:-1]:
        guided(_x(), level)
    expect(len(asked) == before, f"the {before} conditions it asked for at first to be all", len(asked))


def _guided(component: Guidance, scale: float, level: Level) -> Denoised:
    return component.model_copy(update={"scale": scale}).build()(KNOWN, CONDITION, NULL)(_x(), level)


def _x() -> Tensor:
    return normal(SHAPE, seed=4)


def _expect_same(came: Denoised, wanted: Denoised, what: str) -> None:
    expect_close(came.x0_BCHW, wanted.x0_BCHW, within=1e-12, what=f"x0 of {what}")
    expect_close(came.eps_BCHW, wanted.eps_BCHW, within=1e-12, what=f"eps of {what}")


CHECKS: tuple[Check, ...] = (
    at_1_is_the_conditional_model,
    at_0_is_the_unconditional_model,
    grows_with_its_scale,
    leaves_the_unconditional_alone,
    stays_consistent,
    rows_are_independent,
    asks_for_conditions_before_the_walk,
)
