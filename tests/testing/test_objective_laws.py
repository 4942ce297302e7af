"""The laws of objectives, on right ones and on mistakes made in them. Legend: B batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.kinds import Objective


class Squared(Objective):
    """The squared error at uniform times, right or with one mistake."""

    name = "squared"

    mistake: str = ""
    """Which."""

    def check(self, **parts: Any) -> None:
        if self.mistake != "takes any variance":
            super().check(**parts)

    def build(self) -> Any:
        if self.mistake == "weights of its own luck":
            return Drawn(self.mistake, self.self_conditioning)
        return SquaredLoss(self.mistake, self.self_conditioning)


class SquaredLoss:
    def __init__(self, mistake: str, self_conditioning: bool) -> None:
        self.mistake, self.self_conditioning = mistake, self_conditioning

    def __call__(self, network: Any, x0: Tensor, *, process: Any, draws: Any) -> Tensor:
        bug, schedule, axis = self.mistake, process.schedule, process.schedule.axis
        drawn = draws.at(0) if bug == "the same each step" else draws
        u_B = drawn.uniform("time")
        t_B = axis.at(u_B) if axis.count is None else (u_B * axis.count).floor()
        if bug == "past the end":
            t_B = t_B + axis.last
        eps = drawn.normal("noise", x0.shape[1:], dtype=x0.dtype)
        if bug == "noise of its own":
            eps = torch.randn(x0.shape, dtype=x0.dtype)
        alpha, sigma = (f(t_B).view(-1, 1, 1, 1).to(x0.dtype) for f in (schedule.alpha, schedule.sigma))
        x_t = (sigma * x0 + alpha * eps) if bug == "alpha and sigma swapped" else alpha * x0 + sigma * eps
        shown_B = t_B if bug == "float64 times" else t_B.float()
        seen = x_t
        if self.self_conditioning and bug != "shows no estimate":
            with torch.no_grad():
                first = network(torch.cat([x_t, torch.zeros_like(x_t)], 1), shown_B)
            found = process.prediction.x0_eps(first, x_t, alpha, sigma)
            shown = found[1] if bug == "shows its noise" else found[0]
            coin = (draws.uniform("coin") < 0.5).view(-1, 1, 1, 1)
            if bug != "shows every estimate":
                shown = torch.where(coin, shown, torch.zeros_like(shown))
            seen = torch.cat([x_t, shown], 1)
        output = network(seen, shown_B)
        if bug == "half of the output" and output.shape != x0.shape:
            output = output[:, : x0.shape[1]]
        if output.shape != x0.shape:
            raise ValueError(f"{tuple(output.shape)} does not fit")
        target = x0 if bug == "predicts x0" else process.prediction.target(x0, eps, alpha, sigma)
        if bug == "detached":
            output = output.detach()
        difference = output - (-target if bug == "sign error" else target)
        error = difference.square().flatten(1).mean(1)
        if bug == "one-sided":
            error = (difference.clamp(min=0).square() + 0.01 * difference.square()).flatten(1).mean(1)
        others = {
            "one number": error.mean(),
            "relative to the batch": error / error.detach().mean(),
            "float64": error.double(),
        }
        return others.get(bug, error)


class Drawn(nn.Module):
    """The same, with weights that no seed decides."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        self.loss = SquaredLoss(*arguments)
        generator = torch.Generator()
        generator.seed()
        self.weight = nn.Parameter(torch.randn(3, generator=generator))

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.loss(*args, **kwargs)


def test_a_right_objective_passes(passes: Callable[..., None]) -> None:
    passes(Squared)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("one number", "gives_one_loss_each"),
        ("float64", "gives_one_loss_each"),
        ("float64 times", "gives_one_loss_each"),
        ("past the end", "gives_one_loss_each"),
        ("predicts x0", "is_least_for_a_perfect_network"),
        ("sign error", "is_least_for_a_perfect_network"),
        ("alpha and sigma swapped", "is_least_for_a_perfect_network"),
        ("relative to the batch", "rows_are_independent"),
        ("noise of its own", "rows_are_independent"),
        ("the same each step", "draws_anew_each_step"),
        ("predicts x0", "is_least_for_the_true_denoiser"),
        ("one-sided", "is_least_for_the_true_denoiser"),
        ("shows no estimate", "shows_its_estimate"),
        ("shows every estimate", "shows_its_estimate"),
        ("shows its noise", "shows_its_estimate"),
        ("half of the output", "knows_which_variances_it_trains"),
        ("takes any variance", "knows_which_variances_it_trains"),
        ("weights of its own luck", "is_told_by_seed_and_weights"),
    ],
)
def test_a_mistake_in_an_objective_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Squared, mistake=mistake)


def test_a_detached_loss_is_caught(check_component: Any) -> None:
    """Whose backward raises: the law's own failure is torch's."""
    assert "trains_the_network" in {failure.check for failure in check_component(Squared, mistake="detached")}


class Claims(Squared):
    """Says that it trains a variance, and looks at the prediction alone."""

    name = "claims"
    trains_variance = True


def test_a_false_claim_to_train_the_variance_is_caught(check_component: Any) -> None:
    failed = {failure.check for failure in check_component(Claims, mistake="half of the output")}
    assert "knows_which_variances_it_trains" in failed
