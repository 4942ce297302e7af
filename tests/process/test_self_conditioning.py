"""A self-conditioned network is shown what it last said of x₀ in the same walk, under the same condition.

Oracle: the recurrence of Chen et al. 2022, algorithm 2, written out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.process import (
    Aims,
    CosineSchedule,
    Denoised,
    Level,
    Model,
    Steered,
    V,
    View,
    denoiser,
    under,
)

LEVELS = CosineSchedule().build().levels([900, 500, 100])[:-1]
X = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
NOTHING = Condition()


class Network:
    """It returns a mixture of what it sees, and keeps it."""

    def __init__(self) -> None:
        self.shown: list[Tensor] = []

    def __call__(self, x: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        own, shown = x.chunk(2, 1)
        self.shown.append(shown)
        return torch.tanh(own.roll(1, 1)) + 0.3 * shown


def test_the_last_estimate_is_shown_and_zeros_at_first() -> None:
    network = Network()
    denoise = under(denoiser(network, V()), self_conditioning=True)(NOTHING)
    found = [denoise(X, level).x0_BCHW for level in LEVELS]
    assert torch.equal(network.shown[0], torch.zeros_like(X))
    assert torch.equal(network.shown[1], found[0])
    assert torch.equal(network.shown[2], found[1])
    estimate = torch.zeros_like(X)
    for level, x0 in zip(LEVELS, found, strict=True):
        output = torch.tanh(X.roll(1, 1)) + 0.3 * estimate
        estimate = level.alpha * X - level.sigma * output  # v's x₀
        torch.testing.assert_close(x0, estimate, rtol=1e-5, atol=1e-6)


def test_each_condition_has_an_estimate_of_its_own() -> None:
    """Another condition, or another walk, begins with zeros; neither disturbs the first."""
    network = Network()
    conditions = under(denoiser(network, V()), self_conditioning=True)
    first, second = conditions(NOTHING), conditions(NOTHING)
    said = first(X, LEVELS[0]).x0_BCHW
    second(X + 1, LEVELS[0])
    assert torch.equal(network.shown[1], torch.zeros_like(X))
    first(X, LEVELS[1])
    assert torch.equal(network.shown[2], said)


@dataclass(eq=False)
class Within:
    """Away from one condition, at some levels."""

    condition: Condition
    awake: Callable[[Level], bool]

    def __post_init__(self) -> None:
        self.views = (View(self.condition),)

    def active(self, level: Level) -> bool:
        return self.awake(level)

    def shift(self, x: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        return plain.x0_BCHW - seen[0].x0_BCHW


def test_estimates_outlive_a_guidance_s_interval() -> None:
    """Two guidances wake and sleep: in every call each condition's rows are shown what was last said of them.

    Oracle: the recurrence for each condition by itself, over the levels at which it is asked.
    """
    labels = {"asked": 1, "null": 2, "other": 3}
    asked, null, other = (Condition(class_B=torch.full((2,), label)) for label in labels.values())
    levels = CosineSchedule().build().levels([900, 700, 500, 300, 100])[:-1]
    awake = {"asked": {0, 1, 2, 3, 4}, "null": {1, 2, 4}, "other": {0, 2, 4}}
    calls: list[dict[int, Tensor]] = []

    def network(x: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        own, shown = x.chunk(2, 1)
        assert condition.class_B is not None
        calls.append(dict(zip(condition.class_B[::2].tolist(), shown.split(2), strict=True)))
        return torch.tanh(own * condition.class_B.view(-1, 1, 1, 1)) + 0.3 * shown

    def at(name: str) -> Callable[[Level], bool]:
        return lambda level: levels.index(level) in awake[name]

    model = Model(
        under=under(denoiser(network, V()), self_conditioning=True),
        backbone=nn.Identity(),
        schedule=CosineSchedule().build(),
        space=nn.Identity(),
        space_shape=(3, 4, 4),
        conditioners={},
    )
    pulls = [Within(null, at("null")), Within(other, at("other"))]
    steered = Steered(Aims(condition=asked, null=null), model, pulls)
    for level in levels:
        steered(X, level)
    for name, label in labels.items():
        estimate = torch.zeros_like(X)
        for index, level in enumerate(levels):
            assert (label in calls[index]) is (index in awake[name])
            if index in awake[name]:
                # one float32 network in batches of several sizes
                torch.testing.assert_close(calls[index][label], estimate, rtol=1e-5, atol=1e-6)
                output = torch.tanh(X * label) + 0.3 * estimate
                estimate = level.alpha * X - level.sigma * output  # v's x₀


def test_the_estimate_has_no_gradient() -> None:
    """A walk's gradient does not run back through all of its steps."""
    denoise = under(denoiser(Network(), V()), self_conditioning=True)(NOTHING)
    began = X.clone().requires_grad_()
    assert denoise(began, LEVELS[0]).x0_BCHW.requires_grad
    assert not denoise(X, LEVELS[1]).x0_BCHW.requires_grad


@pytest.mark.parametrize("learned", [False, True])
def test_an_estimate_may_be_given(*, learned: bool) -> None:
    """Beside the scaled x_t; the variance output is no part of it."""

    def network(x: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        assert torch.equal(x, torch.cat([X, X + 1], 1))
        return x if learned else x[:, :3]

    found: Denoised = denoiser(network, V(), learned_variance=learned)(X, LEVELS[0], NOTHING, X + 1)
    assert found.x0_BCHW.shape == X.shape
    assert (found.variance_BCHW is not None) is learned
