"""The laws of pairings, on right ones and on mistakes made in them. Legend: B batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.kinds import Pairing


class ByMean(Pairing):
    """Brighter noise to brighter pictures where that brings it nearer on the whole; right or with one mistake."""

    name = "by_mean"

    mistake: str = ""
    """Which."""

    def build(self) -> Any:
        return self.pair

    def pair(self, x0: Tensor, eps: Tensor) -> Tensor:
        bug = self.mistake
        if bug == "in place":
            eps[:] = eps.flip(0)
        if bug == "changes the data":
            x0.mul_(2)
        by_x0, by_eps = (value.flatten(1).mean(1).argsort() for value in (x0, eps))
        order = torch.empty_like(by_x0)
        order[by_x0] = by_eps
        orders = {
            "in place": torch.arange(len(eps)),
            "of its own luck": torch.randperm(len(eps)),
            "rolls": torch.arange(len(eps)).roll(1),
            "the nearest for each": torch.cdist(x0.flatten(1), eps.flatten(1)).argmin(1),
            "loses the last": order[: max(1, len(eps) - 1)],
            "as far as it can": torch.cdist(x0.flatten(1), eps.flatten(1)).mean(1).argsort().flip(0),
        }
        before, after = ((x0 - noise).flatten(1).norm(dim=1).sum() for noise in (eps, eps[order]))
        paired = eps[orders[bug]] if bug in orders else eps[order] if after < before else eps
        changed = {
            "normalises": paired / paired.std(),
            "mixes": (paired + paired.roll(1, 0)) / 2,
            "float64": paired.double(),
            "the sign": -paired,
            "sorts every pixel": paired.flatten(1).sort(1).values.view_as(paired),
        }
        return changed.get(bug, paired)


def test_a_right_pairing_passes(passes: Callable[..., None]) -> None:
    passes(ByMean)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("the nearest for each", "gives_every_noise_once"),
        ("sorts every pixel", "gives_every_noise_once"),
        ("loses the last", "gives_every_noise_once"),
        ("normalises", "gives_every_noise_once"),
        ("mixes", "gives_every_noise_once"),
        ("float64", "gives_every_noise_once"),
        ("the sign", "gives_every_noise_once"),
        ("in place", "leaves_its_inputs_alone"),
        ("changes the data", "leaves_its_inputs_alone"),
        ("of its own luck", "leaves_its_inputs_alone"),
        ("as far as it can", "brings_noise_no_farther"),
        ("rolls", "does_not_look_at_the_order"),
    ],
)
def test_a_mistake_in_a_pairing_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, ByMean, mistake=mistake)
