"""Laws of the kind `optimizer`, on a quadratic: two weights that decay and one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from diffloom.kinds import Optimizer, ParameterGroup
from diffloom.testing.checks import Check, expect
from diffloom.testing.closed_forms import normal
from diffloom.training.optimizer import load_optimizer, optimizer_tensors

RATES = (1.0, 0.1, 0.01, 0.001)
"""Learning rates of which one must do: each optimiser has its own measure of a step."""
SHAPES = {"one.weight": (4, 3), "two.weight": (2, 3, 3, 3), "one.bias": (4,)}


class Quadratic:
    """½·Σ (w − w*)², its weights, and an optimiser at work on them."""

    def __init__(self, component: Optimizer, *, lr: float) -> None:
        self.parameters = {
            name: nn.Parameter(2 + _random(shape, seed=seed))
            for seed, (name, shape) in enumerate(SHAPES.items())
        }
        weights = list(self.parameters.values())
        groups = [ParameterGroup(weights[:2], decays=True), ParameterGroup(weights[2:], decays=False)]
        self.optimizer = component.build(groups, lr=lr)
        self._best = [_random(weight.shape, seed=10 + i) for i, weight in enumerate(weights)]

    @property
    def values(self) -> list[Tensor]:
        """The weights as they are."""
        return [weight.detach().clone() for weight in self.parameters.values()]

    def loss(self) -> float:
        """How far the weights are."""
        return sum(
            ((weight - best) ** 2).sum().item() / 2
            for weight, best in zip(self.parameters.values(), self._best, strict=True)
        )

    def step(self, times: int = 1) -> None:
        """Follow the gradient."""
        for _ in range(times):
            for weight, best in zip(self.parameters.values(), self._best, strict=True):
                weight.grad = weight.detach() - best
            self.optimizer.step()

    def set_rate(self, lr: float) -> None:
        """As the loop does before each step."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr


def _random(shape: Sequence[int], *, seed: int) -> Tensor:
    """Keyed standard normal numbers in float32, as weights are while they train."""
    return normal((1, *shape), seed=seed)[0].float()


def descends_a_quadratic(component: Optimizer) -> None:
    """With a learning rate that suits it, 200 steps leave less than half of a quadratic loss."""
    plain = component.model_copy(update={"weight_decay": 0.0})
    left = {}
    for lr in RATES:
        problem = Quadratic(plain, lr=lr)
        before = problem.loss()
        problem.step(200)
        left[lr] = problem.loss() / before
    expect(min(left.values()) < 0.5, "less than half of the loss at one of these learning rates", left)


def resumes_exactly(component: Optimizer) -> None:
    """With what was kept of it, another of its kind goes on to the same bits: it remembers nothing elsewhere."""
    whole = Quadratic(component, lr=0.1)
    whole.step(4)
    kept = {
        name: tensor.clone() for name, tensor in optimizer_tensors(whole.optimizer, whole.parameters).items()
    }
    again = Quadratic(component, lr=0.1)
    for weight, value in zip(again.parameters.values(), whole.values, strict=True):
        weight.data.copy_(value)
    load_optimizer(again.optimizer, again.parameters, kept, Path("what was kept"))
    for _ in range(4):
        whole.step()
        again.step()
    same = all(torch.equal(a, b) for a, b in zip(whole.values, again.values, strict=True))
    apart = max((a - b).abs().max().item() for a, b in zip(whole.values, again.values, strict=True))
    expect(same, "the same weights after a resume", f"weights that are {apart:.3g} apart")


def decays_only_where_told(component: Optimizer) -> None:
    """A step with weight decay shrinks the weights of groups that decay, and leaves the others as a step without."""
    plain, decayed = (
        Quadratic(component.model_copy(update={"weight_decay": decay}), lr=0.1) for decay in (0.0, 0.1)
    )
    first = plain.values
    for problem in (plain, decayed):
        problem.step()
    for name, before, without, with_decay in zip(SHAPES, first, plain.values, decayed.values, strict=True):
        if name.endswith("bias"):
            expect(torch.equal(without, with_decay), "no decay in the group that does not decay", with_decay)
        else:
            smaller = ((with_decay - without) * before < 0).all()
            expect(
                bool(smaller),
                f"{name} nearer to 0 with decay, in the group that decays",
                with_decay - without,
            )


def follows_the_rate(component: Optimizer) -> None:
    """The `lr` that each group has when a step is taken is the step's: none moves nothing, another moves otherwise."""
    problems = [Quadratic(component, lr=0.1) for _ in range(3)]
    first = problems[0].values
    for problem, lr in zip(problems, (0.0, 0.05, 0.1), strict=True):
        problem.set_rate(lr)
        problem.step()
    still, half, full = (problem.values for problem in problems)
    expect(all(map(torch.equal, still, first)), "weights that stay with a learning rate of 0", still)
    expect(not any(map(torch.equal, half, full)), "other weights with half the learning rate", half)


CHECKS: tuple[Check, ...] = (
    descends_a_quadratic,
    resumes_exactly,
    decays_only_where_told,
    follows_the_rate,
)
