"""The laws of timings, on right ones and on mistakes made in them. Legend: B batch, u the share of the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.kinds import Timing


class Halves(Timing):
    """The noisy half twice as often as the clean one, weighed back; right or with one mistake."""

    name = "halves"

    mistake: str = ""
    """Which."""

    def build(self) -> Any:
        return self.draw

    def draw(self, draws: Any, *, schedule: Any) -> tuple[Tensor, Tensor]:
        bug, axis = self.mistake, schedule.axis
        drawn = draws.at(0) if bug == "the same each step" else draws
        v_B = torch.zeros(len(draws.keys)).double() + 0.3 if bug == "one time" else drawn.uniform("time")
        if bug == "randomness of its own":
            v_B = torch.rand(len(draws.keys), dtype=torch.float64)
        if bug == "by its place":
            v_B = (v_B + torch.arange(len(v_B)) / len(v_B)) % 1
        u_B = torch.where(v_B < 1 / 3, 1.5 * v_B, 0.5 + 0.75 * (v_B - 1 / 3))
        if bug == "never the noisiest":
            u_B = u_B * 0.9
        factor_B = torch.where(u_B < 0.5, 1.5, 0.75).double()
        factors = {
            "no factor": torch.ones_like(factor_B),
            "the factor upside down": 1 / factor_B,
            "relative to the batch": factor_B / factor_B.mean(),
            "factors in float32": factor_B.float(),
            "a negative factor": -factor_B,
        }
        factor_B = factors.get(bug, factor_B)
        t_B: Tensor
        if axis.count is None:
            t_B = axis.at(u_B)
        else:
            number_B = u_B * (axis.count - 1) if bug == "rounds" else u_B * axis.count
            number_B = number_B if bug == "between the times" else number_B.floor()
            t_B = axis.first + (number_B.clamp(max=axis.count - 1)) * axis.stride
        if bug == "past the end":
            t_B = t_B + 1e-3
        if bug == "times in float32":
            t_B = t_B.float()
        return (t_B[:-1], factor_B) if bug == "one too few" else (t_B, factor_B)


def test_a_right_timing_passes(passes: Callable[..., None]) -> None:
    passes(Halves)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("past the end", "gives_times_of_training"),
        ("between the times", "gives_times_of_training"),
        ("one too few", "gives_times_of_training"),
        ("times in float32", "gives_times_of_training"),
        ("factors in float32", "gives_times_of_training"),
        ("a negative factor", "gives_times_of_training"),
        ("randomness of its own", "depends_on_its_example_alone"),
        ("by its place", "depends_on_its_example_alone"),
        ("relative to the batch", "depends_on_its_example_alone"),
        ("one time", "draws_anew"),
        ("the same each step", "draws_anew"),
        ("no factor", "is_unbiased_where_it_says_so"),
        ("the factor upside down", "is_unbiased_where_it_says_so"),
        ("never the noisiest", "is_unbiased_where_it_says_so"),
        ("rounds", "is_unbiased_where_it_says_so"),
    ],
)
def test_a_mistake_in_a_timing_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Halves, mistake=mistake)


class Uneven(Halves):
    """Says that it means to be uneven, and has factors nevertheless."""

    name = "uneven"
    unbiased = False


def test_factors_of_uneven_times_are_caught(caught: Callable[..., None], passes: Callable[..., None]) -> None:
    caught("is_unbiased_where_it_says_so", Uneven)
    passes(Uneven, mistake="no factor")


class ByLoss(Timing):
    """Two halves, as often as their last losses say; right or with one mistake."""

    name = "by_loss"

    mistake: str = ""
    """Which."""

    def build(self) -> Any:
        return ByLossTimes(self.mistake)


class ByLossTimes(nn.Module):
    losses_2: Tensor

    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        losses = torch.ones(2, dtype=torch.float64)
        if mistake == "hidden state":
            self.losses_2 = losses
        else:
            self.register_buffer("losses_2", losses)

    def forward(self, draws: Any, *, schedule: Any) -> tuple[Tensor, Tensor]:
        axis, v_B = schedule.axis, draws.uniform("time")
        losses = 1 / self.losses_2 if self.mistake == "shuns what is costly" else self.losses_2
        low = float(losses[0] / losses.sum())
        is_low_B = v_B < low
        u_B = torch.where(is_low_B, v_B / low / 2, 0.5 + (v_B - low) / (1 - low) / 2)
        factor_B = torch.where(is_low_B, 0.5 / low, 0.5 / (1 - low))
        if self.mistake == "no factor":
            factor_B = torch.ones_like(factor_B)
        number_B = u_B if axis.count is None else (u_B * axis.count).floor().clamp(max=axis.count - 1)
        return axis.at(u_B) if axis.count is None else axis.first + number_B * axis.stride, factor_B.double()

    def observe(self, t_B: Tensor, loss_B: Tensor, *, schedule: Any) -> None:
        if self.mistake == "deaf":
            return
        upper_B = t_B > schedule.axis.at(0.5)
        for half, chosen_B in enumerate((~upper_B, upper_B)):
            if bool(chosen_B.any()):
                self.losses_2[half] = loss_B[chosen_B].mean()


def test_a_timing_that_learns_passes(passes: Callable[..., None]) -> None:
    passes(ByLoss)


@pytest.mark.parametrize("mistake", ["no factor", "deaf", "hidden state", "shuns what is costly"])
def test_a_mistake_in_a_timing_that_learns_is_caught(caught: Callable[..., None], mistake: str) -> None:
    caught("learns_of_losses_without_bias", ByLoss, mistake=mistake)
