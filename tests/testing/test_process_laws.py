"""The laws of schedules and predictions, on right ones and on mistakes made in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.kinds import NoiseSchedule, Prediction, Schedule, SpaceInfo, TimeAxis
from diffloom.process import CLEAN, Epsilon, Level


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
