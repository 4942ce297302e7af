"""The laws of predictions, on right ones and on mistakes made in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.kinds import NoiseSchedule, Prediction
from diffloom.process import Epsilon


class Velocity(Prediction):
    """v = alpha·eps − sigma·x0, right or with one mistake."""

    name = "velocity"

    mistake: str = ""
    """Which."""

    def build(self, *, schedule: NoiseSchedule) -> Any:
        return VelocityConversion(self.mistake)


class VelocityConversion:
    def __init__(self, mistake: str) -> None:
        self.mistake = mistake

    def scale_in(self, alpha: Any, sigma: Any) -> Any:
        return sigma * 0 + (0.0 if self.mistake == "scales to nothing" else 1.0)

    def target(self, x0: Tensor, eps: Tensor, alpha: Any, sigma: Any) -> Tensor:
        return sigma * x0 - alpha * eps if self.mistake == "sign error" else alpha * eps - sigma * x0

    def x0_eps(self, output: Tensor, x_t: Tensor, alpha: Any, sigma: Any) -> tuple[Tensor, Tensor]:
        bug = self.mistake
        if bug == "detached":
            output = output.detach()
        if bug == "deaf":
            output = output * 0
        power = 1.0 if bug == "preserving schedules only" else alpha**2 + sigma**2
        x0 = (alpha * x_t - sigma * output) / power
        eps = (sigma * x_t + alpha * output) / power
        if bug == "divides by alpha":
            x0 = (x_t - sigma * eps) / alpha if float(torch.as_tensor(alpha).min()) else x_t * math.inf
        if bug == "clips":
            x0 = x0.clamp(-1, 1)
        if bug == "clips both":
            x0 = x0.clamp(-1, 1)
            eps = (x_t - alpha * x0) / sigma
        if bug == "float64":
            x0 = x0.double()
        return (eps, x0) if bug == "x0 and eps swapped" else (x0, eps)

    def gain(self, alpha: Any, sigma: Any) -> Any:
        gain = (alpha**2 + sigma**2) / sigma
        wrong = {"squared gain": gain**2, "signed gain": -gain, "gain of eps": gain * sigma / (alpha + 1e-9)}
        return wrong.get(self.mistake, gain)


def test_a_right_prediction_passes(passes: Callable[..., None]) -> None:
    passes(Velocity)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("sign error", "finds_x0_and_eps"),
        ("x0 and eps swapped", "finds_x0_and_eps"),
        ("preserving schedules only", "finds_x0_and_eps_at_any_level"),
        ("clips", "splits_any_output_consistently"),
        ("clips both", "gives_any_output_back"),
        ("squared gain", "gains_what_x0_does_to_the_target"),
        ("signed gain", "gains_what_x0_does_to_the_target"),
        ("gain of eps", "gains_what_x0_does_to_the_target"),
        ("divides by alpha", "knows_pure_noise"),
        ("scales to nothing", "scales_the_input_by_the_level"),
        ("detached", "reads_the_output"),
        ("deaf", "reads_the_output"),
        ("float64", "keeps_the_dtype"),
    ],
)
def test_a_mistake_in_a_prediction_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Velocity, mistake=mistake)


class SquashedNoise(Epsilon):
    """The network outputs asinh(eps): exact, and its own inverse is too, but no line in the output."""

    def target(self, x0: Tensor, eps: Tensor, alpha: Any, sigma: Any) -> Tensor:
        return eps.asinh()

    def x0_eps(self, output: Tensor, x_t: Tensor, alpha: Any, sigma: Any) -> tuple[Tensor, Tensor]:
        return super().x0_eps(output.sinh(), x_t, alpha, sigma)


class MirroredNoise(Epsilon):
    """The network outputs eps with left and right exchanged: linear, but not pixel by pixel."""

    def target(self, x0: Tensor, eps: Tensor, alpha: Any, sigma: Any) -> Tensor:
        return eps.flip(-1)

    def x0_eps(self, output: Tensor, x_t: Tensor, alpha: Any, sigma: Any) -> tuple[Tensor, Tensor]:
        return super().x0_eps(output.flip(-1) if output.dim() else output, x_t, alpha, sigma)


class Exact(Prediction):
    """A conversion without a fault but that samplers cannot step by it."""

    name = "exact"
    needs_signal = True

    mirrors: bool = False
    """Which of the two."""

    def build(self, *, schedule: NoiseSchedule) -> Any:
        return MirroredNoise() if self.mirrors else SquashedNoise()


@pytest.mark.parametrize("mirrors", [False, True])
def test_a_conversion_that_is_more_than_four_numbers_is_caught(
    caught: Callable[..., None], *, mirrors: bool
) -> None:
    caught("is_told_by_four_numbers", Exact, mirrors=mirrors)


@pytest.mark.parametrize("mirrors", [False, True])
def test_no_other_law_would_tell_of_it(check_component: Any, *, mirrors: bool) -> None:
    """But the gain, which says what one unit of x₀ is in the output, and is a number of the level as well."""
    broken = {failure.check for failure in check_component(Exact, mirrors=mirrors)}
    assert broken == {"is_told_by_four_numbers", "gains_what_x0_does_to_the_target"}


class Noise(Velocity):
    """The noise, which forgets to say that it needs some signal."""

    name = "noise"

    def build(self, *, schedule: NoiseSchedule) -> Any:
        return Epsilon()


def test_a_prediction_that_needs_signal_must_say_so(caught: Callable[..., None]) -> None:
    caught("knows_pure_noise", Noise)


class Counted(Velocity):
    """v, which says that it needs counted times and does not."""

    name = "counted"
    needs_counted_times = True


def test_a_prediction_must_not_ask_for_counted_times_in_vain(caught: Callable[..., None]) -> None:
    caught("says_whether_times_must_be_counted", Counted)
