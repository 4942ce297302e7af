"""The laws of schedules, on right ones and on mistakes made in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.kinds import Schedule, SpaceInfo, TimeAxis
from diffloom.process import CLEAN, Level


class EvenAngle(Schedule):
    """The angle of alpha and sigma rises evenly with time, right or with one mistake."""

    name = "even_angle"

    mistake: str = ""
    """Which."""

    @property
    def axis(self) -> TimeAxis:
        return TimeAxis.table(51 if self.mistake == "another length" else 50)

    @property
    def zero_snr(self) -> bool:
        return self.mistake == "claims pure noise"

    def build(self, *, space: SpaceInfo | None = None) -> Any:
        return Angles(self.mistake)


class Angles:
    axis = TimeAxis.table(50)

    def __init__(self, mistake: str) -> None:
        self.mistake = mistake
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
        return self.values(t, torch.cos) * (-1 if self.mistake == "negative signal" else 1)

    def sigma(self, t: Tensor) -> Tensor:
        value = self.values(t, torch.sin)
        if self.mistake == "clean at the first time":
            value = torch.where(t == 0, 0.0, value)
        return value.square() * 0.5 if self.mistake == "variance for sigma" else value

    def log_snr(self, t: Tensor) -> Tensor:
        halves = 1 if self.mistake == "half the log-SNR" else 2
        return -halves * self.angle(t).tan().log()

    def time(self, log_snr: Tensor) -> Tensor:
        angle = (-log_snr.double() / 2).exp().atan()
        shift = 0 if self.mistake == "times off by one" else 1
        t = angle / (math.pi / 2) * 51 - shift
        return t if self.mistake == "times beyond the axis" else t.clamp(0, 49)

    def levels(self, times: Sequence[float]) -> tuple[Level, ...]:
        t = torch.tensor(list(times), dtype=torch.float64) - int(self.mistake == "levels off by one")
        found = zip(times, self.alpha(t).tolist(), self.sigma(t).tolist(), strict=True)
        levels = tuple(Level(float(time), a, s) for time, a, s in found)
        return levels if self.mistake == "no clean level" else (*levels, CLEAN)

    def level(self, log_snr: float) -> Level:
        snr = torch.tensor(log_snr, dtype=torch.float64)
        if self.mistake == "levels of whole times only":
            return self.levels([self.time(snr).round().item()])[0]
        if self.mistake == "levels end with the axis":
            return self.levels([self.time(snr).item()])[0]
        return Level(self.time(snr).item(), snr.sigmoid().sqrt().item(), (-snr).sigmoid().sqrt().item())

    def prior_std(self, level: Level) -> float:
        return 80.0 if self.mistake == "another prior" else 1.0


def test_a_right_schedule_passes(passes: Callable[..., None]) -> None:
    passes(EvenAngle)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("another length", "has_its_axis"),
        ("float32 tables", "gives_float64_of_the_same_shape"),
        ("flat", "gives_float64_of_the_same_shape"),
        ("negative signal", "keeps_noise_and_signal_within_reason"),
        ("clean at the first time", "keeps_noise_and_signal_within_reason"),
        ("backwards", "loses_signal_all_the_way"),
        ("nearest time", "loses_signal_all_the_way"),
        ("claims pure noise", "says_whether_signal_is_left"),
        ("half the log-SNR", "has_the_log_snr_of_its_alpha_and_sigma"),
        ("variance for sigma", "has_the_log_snr_of_its_alpha_and_sigma"),
        ("another prior", "fits_its_prior"),
        ("straight between times", "preserves_variance_between_times_too"),
        ("drawn tables", "builds_alike_twice"),
        ("levels off by one", "gives_levels_of_its_times"),
        ("no clean level", "gives_levels_of_its_times"),
        ("times off by one", "finds_the_time_of_a_log_snr"),
        ("times beyond the axis", "finds_the_time_of_a_log_snr"),
        ("levels of whole times only", "makes_levels_of_log_snrs"),
        ("levels end with the axis", "makes_levels_of_log_snrs"),
    ],
)
def test_a_mistake_in_a_schedule_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, EvenAngle, mistake=mistake)


class Tilted(Schedule):
    """A line of log-SNR whose slope is learned, right or with one mistake."""

    name = "tilted"

    mistake: str = ""
    """Which."""

    @property
    def axis(self) -> TimeAxis:
        return TimeAxis(0.0, 1.0, None)

    def build(self, *, space: SpaceInfo | None = None) -> Any:
        return Line(self.mistake)


class Line(nn.Module, Angles):
    axis = TimeAxis(0.0, 1.0, None)  # type: ignore[assignment]

    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        self.slope = nn.Parameter(torch.rand(()))
        self.kept = self.slope.item()

    def log_snr(self, t: Tensor) -> Tensor:
        slope = self.slope.double()
        if self.mistake == "detached":
            slope = slope.detach()
        if self.mistake == "a number beside its weights":
            slope = slope * 0 + self.kept
        return 6 - (10 + slope) * t.double()

    def alpha(self, t: Tensor) -> Tensor:
        return self.log_snr(t).sigmoid().sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        return (-self.log_snr(t)).sigmoid().sqrt()

    def time(self, log_snr: Tensor) -> Tensor:
        return ((6 - log_snr.double()) / (10 + self.slope.detach().double())).clamp(0, 1)


def test_a_learned_schedule_passes(passes: Callable[..., None]) -> None:
    passes(Tilted)


@pytest.mark.parametrize("mistake", ["a number beside its weights", "detached"])
def test_a_schedule_that_does_not_learn_is_caught(check_component: Any, mistake: str) -> None:
    assert "learns_with_the_model" in {failure.check for failure in check_component(Tilted, mistake=mistake)}
