"""The laws of weightings, on right ones and on mistakes made in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.kinds import Weighting


class Root(Weighting):
    """√SNR for errors in x₀, right or with one mistake."""

    name = "root"

    mistake: str = ""
    """Which."""

    @property
    def of_output(self) -> bool:
        return self.mistake == "says it is of the output"

    def build(self) -> Any:
        bug = self.mistake

        def weigh(error_B: Tensor, t_B: Tensor, *, process: Any) -> Tensor:
            schedule = process.schedule
            alpha_B, sigma_B = schedule.alpha(t_B), schedule.sigma(t_B)
            if bug != "0/0 without signal":
                alpha_B = alpha_B.clamp(min=1e-10)
            root_B, gain_B = alpha_B / sigma_B, process.prediction.gain(alpha_B, sigma_B)
            weight_B = root_B / gain_B**2
            weights = {
                "forgets the gain": root_B,
                "divides by the gain itself": root_B / gain_B,
                "multiplies by the gain": root_B * gain_B**2,
                "negative where noisy": weight_B * torch.where(root_B < 1, -1, 1),
                "nothing where clean": weight_B * (root_B < 3),
                "infinite where clean": weight_B / (t_B != t_B.min()),
                "drawn": weight_B * (1 + torch.rand(())),
            }
            weight_B = weights.get(bug, weight_B)
            if bug == "relative to the batch":
                weight_B = weight_B / weight_B.mean()
            if bug == "by its place":
                weight_B = weight_B * (1 + torch.arange(len(weight_B)))
            if bug == "a square":
                return (weight_B * error_B.double() ** 2).to(error_B)
            if bug == "detached":
                error_B = error_B.detach() + 0 * error_B
            loss_B = weight_B.to(error_B) * error_B
            if bug == "one number":
                return loss_B.mean()
            return loss_B.double() if bug == "float64" else loss_B

        return weigh


def test_a_right_weighting_passes(passes: Callable[..., None]) -> None:
    passes(Root)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("0/0 without signal", "counts_every_level"),
        ("negative where noisy", "counts_every_level"),
        ("nothing where clean", "counts_every_level"),
        ("infinite where clean", "counts_every_level"),
        ("a square", "rises_evenly_with_the_error"),
        ("forgets the gain", "is_the_same_for_every_prediction"),
        ("divides by the gain itself", "is_the_same_for_every_prediction"),
        ("multiplies by the gain", "is_the_same_for_every_prediction"),
        ("says it is of the output", "is_the_same_for_every_prediction"),
        ("relative to the batch", "rows_are_independent"),
        ("by its place", "rows_are_independent"),
        ("drawn", "rows_are_independent"),
        ("one number", "rows_are_independent"),
        ("float64", "rows_are_independent"),
        ("detached", "trains_the_network"),
    ],
)
def test_a_mistake_in_a_weighting_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Root, mistake=mistake)


class Learned(Weighting):
    """One learned logarithm for all levels, right or with one mistake."""

    name = "learned"

    mistake: str = ""
    """Which."""

    @property
    def of_output(self) -> bool:
        return True

    def build(self) -> Any:
        return LearnedWeight(self.mistake)


class LearnedWeight(nn.Module):
    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        self.u = nn.Parameter(torch.zeros(()))
        self.scale = float(torch.rand(())) if mistake == "hidden state" else 1.0

    def forward(self, error_B: Tensor, t_B: Tensor, *, process: Any) -> Tensor:
        u = self.u.detach() if self.mistake == "untrained" else self.u
        if self.mistake == "deaf":
            u = u * 0
        return error_B * self.scale / u.exp().to(error_B) + u.to(error_B)


def test_a_learned_weighting_passes(passes: Callable[..., None]) -> None:
    passes(Learned)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("untrained", "trains_the_network"),
        ("hidden state", "is_told_by_its_state"),
        ("deaf", "is_told_by_its_state"),
    ],
)
def test_a_mistake_in_a_learned_weighting_is_caught(
    caught: Callable[..., None], mistake: str, check: str
) -> None:
    caught(check, Learned, mistake=mistake)
