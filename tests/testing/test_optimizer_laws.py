"""The laws of optimisers, on a right one and on mistakes made in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from diffloom.kinds import Optimizer, ParameterGroup


class Momentum(Optimizer):
    """Momentum in a few lines, right or with one mistake."""

    name = "momentum"

    mistake: str = ""
    """Which."""

    def build(self, groups: Sequence[ParameterGroup], *, lr: float) -> torch.optim.Optimizer:
        bug = self.mistake
        described = self.described(groups)
        if bug == "decays everything":
            described = [{**group, "weight_decay": self.weight_decay} for group in described]
        if bug == "decays nothing":
            described = [{**group, "weight_decay": 0.0} for group in described]
        return Written(described, {"lr": lr, "growth": 1.0}, bug)


class Written(torch.optim.Optimizer):
    """m ← 0.5·m + g; w ← (1 − lr·decay)·w − lr·growth·m; the growth rises with each step."""

    def __init__(self, groups: list[dict[str, Any]], defaults: dict[str, Any], bug: str) -> None:
        super().__init__(groups, defaults)
        self.bug = bug
        self.hidden = 1.0
        self.first = defaults["lr"]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.hidden *= 0.99
        for group in self.param_groups:
            group["growth"] *= 0.99
            growth = self.hidden if self.bug == "remembers elsewhere" else group["growth"]
            lr = self.first if self.bug == "has its own rate" else group["lr"]
            sign = 1 if self.bug == "climbs" else -1
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p)).mul_(0.5).add_(p.grad)
                p.mul_(1 - lr * group["weight_decay"]).add_(m, alpha=sign * lr * growth)


def test_a_right_optimizer_passes(passes: Callable[..., None]) -> None:
    passes(Momentum)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("climbs", "descends_a_quadratic"),
        ("remembers elsewhere", "resumes_exactly"),
        ("decays everything", "decays_only_where_told"),
        ("decays nothing", "decays_only_where_told"),
        ("has its own rate", "follows_the_rate"),
    ],
)
def test_a_mistake_in_an_optimizer_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Momentum, mistake=mistake)
