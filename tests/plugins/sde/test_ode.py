"""The adaptive solver, against the probability flow's solution and against samples taken alone."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.errors import DiffloomError
from diffloom.process import CLEAN, Denoised, Level, VPSchedule
from diffloom.testing.closed_forms import (
    GaussianData,
    MixtureData,
    exploding_at,
    flowing_at,
    normal,
    preserving,
    preserving_at,
)
from diffloom.testing.course import course_of, walked
from diffloom_sde import ODE

AT = {"preserving": preserving_at, "exploding": exploding_at, "flowing": flowing_at}
METHODS = ["dopri5", "dopri8", "bosh3", "adaptive_heun"]


def noisy_end(at: Any, *, first: float = -9.0, last: float = 9.0) -> list[Level]:
    """Two levels, the last of which is noisy, so that all of the walk is the flow."""
    return [at(first), at(last)]


class Counted:
    """A denoiser that counts."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.calls = 0

    def __call__(self, x: Tensor, level: Level) -> Denoised:
        self.calls += 1
        return self.data(x, level)  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", AT.values(), ids=AT)
def test_the_flow_to_its_tolerance(method: str, at: Any) -> None:
    """Against a mixture's flow. The tolerance is a step's: the whole may be 100 times worse, and is not.

    A hundredth of it costs more calls, and takes away nine tenths of the error or more.
    """
    data, (start, end) = MixtureData(), noisy_end(at)
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 1, 3, 3)
    errors, calls = [], []
    for tolerance in (1e-4, 1e-6):
        denoise = Counted(data)
        (step,) = walked(
            ODE(method=method, rtol=tolerance, atol=tolerance),
            data.at(start, noise),
            [start, end],
            denoise,
            at=at,
        )
        errors.append(float((step.following_BCHW - data.at(end, noise)).abs().max()))
        calls.append(denoise.calls)
        assert errors[-1] < 100 * tolerance
    assert errors[1] < 0.1 * errors[0]
    assert calls[0] < calls[1]
    assert method != "dopri5" or calls[0] < 150


def test_the_levels_between_are_not_visited() -> None:
    """The spacing says where it begins and ends, and no more."""
    x, data = normal((1, 1, 3, 3)), GaussianData(0.3, 0.5)
    few, many = (
        walked(ODE(), x, [preserving_at(-9 + 20 * i / n) for i in range(n + 1)] + [CLEAN], data)
        for n in (1, 50)
    )
    assert len(few) == len(many) == 1
    torch.testing.assert_close(few[0].following_BCHW, many[0].following_BCHW, rtol=0, atol=1e-12)
    assert torch.equal(few[0].x0_BCHW, data(x, few[0].level).x0_BCHW)


def test_the_clean_end_is_the_last_prediction() -> None:
    data, levels = GaussianData(0.3, 0.5), preserving(20)
    start = normal((2, 1, 3, 3))
    (clean,), (noisy,) = (walked(ODE(), start, walk, data) for walk in (levels, levels[:-1]))
    torch.testing.assert_close(
        clean.following_BCHW, data(noisy.following_BCHW, levels[-2]).x0_BCHW, rtol=0, atol=1e-12
    )
    (single,) = walked(ODE(), start, levels[-2:], data)
    assert torch.equal(single.following_BCHW, data(start, levels[-2]).x0_BCHW)


@pytest.mark.parametrize("at", [flowing_at, preserving_at], ids=["flowing", "preserving"])
def test_from_pure_noise(at: Any) -> None:
    """There x/alpha is infinite, and the angle is a right one."""
    data, noise = MixtureData(), torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 1, 3, 3)
    end = at(9.0)
    levels = [Level(1.0, 0.0, 1.0), end]
    seen = []

    def denoise(x: Tensor, level: Level) -> Denoised:
        seen.append(level)
        return data(x, level)

    (step,) = walked(ODE(rtol=1e-8, atol=1e-8), noise, levels, denoise, at=at)
    torch.testing.assert_close(step.following_BCHW, data.at(end, noise), rtol=0, atol=1e-6)
    assert seen[1] is levels[0]  # and not a level of next to no signal, which no schedule has to know
    assert {level.alpha > 1e-6 or level is levels[0] for level in seen} == {True}


def test_a_sample_has_its_own_steps() -> None:
    """Alone or beside a sample that needs many more steps it is the same, bit for bit."""
    data, levels = MixtureData(), preserving(20)
    easy, hard = torch.zeros(1, 1, 4, 4, dtype=torch.float64), normal((1, 1, 4, 4))
    counts = []
    for x in (easy, hard):
        denoise = Counted(data)
        walked(ODE(), x, levels, denoise)
        counts.append(denoise.calls)
    assert counts[0] != counts[1]
    (together,) = walked(ODE(), torch.cat([easy, hard]), levels, data)
    for x, row in zip((easy, hard), together.following_BCHW, strict=True):
        (alone,) = walked(ODE(), x, levels, data)
        assert torch.equal(alone.following_BCHW[0], row)


def test_rows_that_differ_in_more_than_x_are_denoised_by_themselves() -> None:
    """As the course says: here row b's data have another mean."""
    means = torch.tensor([-0.5, 0.7], dtype=torch.float64).view(2, 1, 1, 1)
    x, levels = normal((2, 1, 3, 3)), preserving(20)
    course = course_of(x, levels, GaussianData(means, 0.2))
    course = type(course)(**{**vars(course), "single": lambda row: GaussianData(means[row : row + 1], 0.2)})
    (step,) = ODE()(x, course)
    for row in range(2):
        (alone,) = walked(ODE(), x[row : row + 1], levels, GaussianData(means[row : row + 1], 0.2))
        assert torch.equal(step.following_BCHW[row : row + 1], alone.following_BCHW)


def test_it_stays_between_its_two_levels() -> None:
    """torchdiffeq would step past the end and interpolate; beyond the last level a network knows nothing."""
    seen: list[float] = []

    def denoise(x: Tensor, level: Level) -> Denoised:
        seen.append(level.log_snr)
        return GaussianData(0.3, 0.5)(x, level)

    start, end = noisy_end(preserving_at, last=4.0)
    for method, tolerance in itertools.product(METHODS, (1e-2, 1e-4)):
        walked(
            ODE(method=method, rtol=tolerance, atol=tolerance), normal((1, 1, 2, 2)), [start, end], denoise
        )
    assert min(seen) >= start.log_snr - 1e-9
    assert max(seen) <= end.log_snr + 1e-9


def test_a_network_shown_float32_times_ends_at_the_most_calls_and_not_never() -> None:
    """dopri8 asks it for 1e-10 some 6000 times, where 1e-8 takes about 200; the default limit ends that."""
    schedule, data = VPSchedule().build(), MixtureData()
    start, end, _ = schedule.levels([schedule.axis.last, schedule.axis.first])

    def shown(x: Tensor, level: Level) -> Denoised:
        (coarse, _) = schedule.levels([torch.tensor(level.t, dtype=torch.float32).item()])
        x0 = data(x, coarse).x0_BCHW
        return Denoised(x0, (x - level.alpha * x0) / level.sigma)

    x = torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 1, 3, 3)
    denoise = Counted(shown)
    walked(ODE(method="dopri8", rtol=1e-8, atol=1e-8), x, [start, end], denoise, at=schedule.level)
    assert denoise.calls < 400
    denoise = Counted(shown)
    with pytest.raises(
        DiffloomError, match=r"after 2000 calls .* by rtol 1e-10 and atol 1e-10, .*; raise rtol"
    ):
        walked(ODE(method="dopri8", rtol=1e-10, atol=1e-10), x, [start, end], denoise, at=schedule.level)
    assert denoise.calls == 2000


def test_the_most_calls_are_those_of_one_sample_its_ends_included() -> None:
    data, levels, x = MixtureData(), preserving(20), normal((1, 1, 2, 2))
    denoise = Counted(data)
    (alone,) = walked(ODE(), x, levels, denoise)
    needed = denoise.calls
    (twice,) = walked(ODE(max_calls=needed), torch.cat([x, x]), levels, data)
    assert torch.equal(twice.following_BCHW[1:], alone.following_BCHW)
    with pytest.raises(DiffloomError, match=f"after {needed - 1} calls"):
        walked(ODE(max_calls=needed - 1), x, levels, data)
