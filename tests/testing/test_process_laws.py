"""The laws of schedules, predictions and variances, on right ones and on mistakes made in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.kinds import Prediction, Schedule, Variance
from diffloom.process import CLEAN, Denoised, Level


class Cosine(Schedule):
    """The angle of alpha and sigma rises evenly, right or with one mistake."""

    name = "even_angle"

    mistake: str = ""
    """Which."""

    @property
    def length(self) -> int:
        return 51 if self.mistake == "another length" else 50

    def build(self) -> Any:
        return Angles(self.mistake)


class Angles:
    steps = 50

    def __init__(self, mistake: str) -> None:
        self.mistake = mistake
        self.prior_std = 80.0 if mistake == "another prior" else 1.0
        self.wobble = float(torch.rand(())) * 1e-3 if mistake == "drawn tables" else 0.0

    def angle(self, t: Tensor) -> Tensor:
        if self.mistake == "backwards":
            t = 49 - t.double()
        if self.mistake == "nearest time":
            t = t.double().round()
        return (t.double() + 1 + self.wobble) / 51 * (math.pi / 2)

    def values(self, t: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        value = function(self.angle(t))
        if self.mistake == "straight between times":
            low, high = function(self.angle(t.double().floor())), function(self.angle(t.double().ceil()))
            value = torch.lerp(low, high, t.double() - t.double().floor())
        if self.mistake == "float32 tables":
            value = value.float()
        if self.mistake == "flat":
            value = value.flatten()
        return value

    def alpha(self, t: Tensor) -> Tensor:
        return self.values(t, torch.cos)

    def sigma(self, t: Tensor) -> Tensor:
        value = self.values(t, torch.sin)
        return value.square() * 0.5 if self.mistake == "variance for sigma" else value

    def levels(self, times: Sequence[float]) -> tuple[Level, ...]:
        shift = 1 if self.mistake == "levels off by one" else 0
        t = torch.tensor(list(times), dtype=torch.float64) - shift
        found = zip(times, self.alpha(t).tolist(), self.sigma(t).tolist(), strict=True)
        levels = tuple(Level(float(time), a, s) for time, a, s in found)
        return levels if self.mistake == "no clean level" else (*levels, CLEAN)


def test_a_right_schedule_passes(passes: Callable[..., None]) -> None:
    passes(Cosine)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("another length", "has_its_length"),
        ("float32 tables", "gives_float64_of_the_same_shape"),
        ("flat", "gives_float64_of_the_same_shape"),
        ("backwards", "loses_signal_all_the_way"),
        ("nearest time", "loses_signal_all_the_way"),
        ("another prior", "fits_its_prior"),
        ("variance for sigma", "fits_its_prior"),
        ("straight between times", "preserves_variance_between_times_too"),
        ("levels off by one", "gives_levels_of_its_times"),
        ("no clean level", "gives_levels_of_its_times"),
        ("drawn tables", "builds_alike_twice"),
    ],
)
def test_a_mistake_in_a_schedule_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Cosine, mistake=mistake)


class Velocity(Prediction):
    """v = alpha·eps − sigma·x0, right or with one mistake."""

    name = "velocity"

    mistake: str = ""
    """Which."""

    def build(self) -> Any:
        return VelocityConversion(self.mistake)


class VelocityConversion:
    def __init__(self, mistake: str) -> None:
        self.mistake = mistake

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
        if bug == "clips":
            x0 = x0.clamp(-1, 1)
        if bug == "float64":
            x0 = x0.double()
        return (eps, x0) if bug == "x0 and eps swapped" else (x0, eps)


def test_a_right_prediction_passes(passes: Callable[..., None]) -> None:
    passes(Velocity)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("sign error", "finds_x0_and_eps"),
        ("x0 and eps swapped", "finds_x0_and_eps"),
        ("preserving schedules only", "finds_x0_and_eps_at_any_level"),
        ("clips", "splits_any_output_consistently"),
        ("detached", "reads_the_output"),
        ("deaf", "reads_the_output"),
        ("float64", "keeps_the_dtype"),
    ],
)
def test_a_mistake_in_a_prediction_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Velocity, mistake=mistake)


class Between(Variance):
    """The geometric mean of β̃ and β, right or with one mistake."""

    name = "between"

    mistake: str = ""
    """Which."""

    def build(self) -> Any:
        return BetweenVariance(self.mistake)


class BetweenVariance:
    def __init__(self, mistake: str) -> None:
        self.mistake = mistake

    def std(self, current: Level, following: Level, denoised: Denoised) -> Tensor | float:
        bug = self.mistake
        if bug == "needs the network":
            assert denoised.variance_BCHW is not None
        if following.is_clean and bug != "noise into the sample":
            return 0.0
        large = current.sigma**2 - (current.alpha / following.alpha) ** 2 * following.sigma**2
        small = large * following.sigma**2 / current.sigma**2
        if following.is_clean:
            return 0.5
        stds: dict[str, Tensor | float] = {
            "variance for std": math.sqrt(small * large),
            "too large": math.sqrt(large) * 1.01,
            "off by one": math.sqrt(current.sigma**2 - current.alpha**2 * following.sigma**2),
            "negative": -math.sqrt(small),
            "one for each row": torch.full((2,), math.sqrt(small)),
        }
        return stds.get(bug, math.sqrt(math.sqrt(small * large)))


def test_a_right_variance_passes(passes: Callable[..., None]) -> None:
    passes(Between)


class Learned(Between):
    """Interpolates in the logarithm, by what the network says (Nichol & Dhariwal 2021, eq. 15)."""

    name = "learned"
    learned = True

    def build(self) -> Any:
        outer = self.mistake

        class Interpolated:
            def std(self, current: Level, following: Level, denoised: Denoised) -> Tensor | float:
                if following.is_clean:
                    return 0.0
                assert denoised.variance_BCHW is not None
                share = (denoised.variance_BCHW + 1) / 2 * (0 if outer == "deaf" else 1)
                large = current.sigma**2 - (current.alpha / following.alpha) ** 2 * following.sigma**2
                small = large * following.sigma**2 / current.sigma**2
                return torch.exp((share * math.log(large) + (1 - share) * math.log(small)) / 2)

        return Interpolated()


def test_a_learned_variance_passes(passes: Callable[..., None], caught: Callable[..., None]) -> None:
    passes(Learned)
    caught("reads_what_is_learned", Learned, mistake="deaf")


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("noise into the sample", "ends_without_noise"),
        ("variance for std", "lies_between_small_and_large"),
        ("too large", "lies_between_small_and_large"),
        ("off by one", "lies_between_small_and_large"),
        ("negative", "is_positive_and_fits"),
    ],
)
def test_a_mistake_in_a_variance_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Between, mistake=mistake)


@pytest.mark.parametrize("mistake", ["one for each row", "needs the network"])
def test_a_variance_that_cannot_run_is_caught(check_component: Any, mistake: str) -> None:
    assert {f.check for f in check_component(Between, mistake=mistake)} & {
        "is_positive_and_fits",
        "reads_what_is_learned",
    }
