"""The laws of samplers, on one right ancestral sampler and on mistakes made in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from diffloom.kinds import Sampler
from diffloom.process import CLEAN, Course, Denoised, Level, Step
from diffloom.testing import sampler
from diffloom.testing.closed_forms import MixtureData, normal, preserving


class Generalised(Sampler):
    """The DDIM family, right or with one mistake.

    x_s = alpha_s·x0 + sqrt(sigma_s² − std²)·eps + std·noise (Song et al. 2020, eq. 12).
    """

    name = "generalised"
    ends_early: ClassVar[bool] = True

    eta: float = 1.0
    """Share of the posterior's standard deviation that is fresh noise."""
    mistake: str = ""
    """Which."""

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Generalised]:
        return (cls(), cls(eta=0.0))

    @property
    def order(self) -> int | None:
        if self.mistake == "says order 2":
            return 2
        return None if self.eta else 1

    @property
    def stochastic(self) -> bool:
        return (self.eta > 0) != (self.mistake == "denies its noise")

    def calls(self, steps: int) -> int:
        return steps + (self.mistake == "miscounts its calls")

    def build(self) -> Walk:
        return Walk(self.eta, self.mistake)


class Walk:
    def __init__(self, eta: float, mistake: str) -> None:
        self.eta, self.mistake = eta, mistake

    def __call__(self, x: Tensor, course: Course) -> Iterator[Step]:
        steps = self.steps(x, course)
        return iter(list(steps)) if self.mistake == "walks before it is asked" else steps

    def steps(self, x: Tensor, course: Course) -> Iterator[Step]:
        bug, levels = self.mistake, course.levels
        last = len(levels) - 1
        for i in range(last - 1 if bug == "one step short" else last):
            level, following = levels[i], levels[i + 1]
            known, arrived = self.step(x, course, i)
            begun = x.clone() if bug == "works in place" else x
            yield Step(
                index=i + 1 if bug == "counts from one" else i,
                level=level,
                next_level=levels[i] if bug == "names the wrong level" else following,
                x_t_BCHW=begun,
                x0_BCHW=known.eps_BCHW if bug == "shows eps" else known.x0_BCHW,
                following_BCHW=x.copy_(arrived) if bug == "works in place" else arrived,
            )
            x = arrived

    def step(self, x: Tensor, course: Course, i: int) -> tuple[Denoised, Tensor]:
        bug, levels, last = self.mistake, course.levels, len(course.levels) - 1
        level, following = levels[i], levels[i + 1]
        target = levels[min(i + 2, last)] if bug == "off by one" else following
        asked = following if bug == "asks at the next level" and not following.is_clean else level
        known = course.denoise(x, asked)
        x0, eps = known.x0_BCHW, known.eps_BCHW
        if bug == "always ends clean" and i == last - 1:
            target = CLEAN
        if bug == "x0 and eps swapped":
            x0, eps = eps, x0
        if bug == "divides by the signal":
            x0 = (x - level.sigma * eps) / torch.tensor(level.alpha, dtype=x.dtype)
        std = 0.0 if target.is_clean else self.eta * course.variance.std(level, target, known)
        rest = math.sqrt(target.sigma**2 - std**2)
        fresh = {"variance too large": std * 1.1, "variance for std": std**2}.get(bug, std)
        rest = {"old noise not shrunk": target.sigma, "sign error": -rest}.get(bug, rest)
        alpha = torch.tensor(target.alpha).item() if bug == "float32 coefficients" else target.alpha
        if bug == "alpha squared":
            alpha = target.alpha**2
        if bug == "takes variance for preserved":
            alpha = math.sqrt(max(0.0, 1 - target.sigma**2))
        arrived = alpha * x0 + rest * eps
        if fresh:
            arrived = arrived + fresh * self.noise(course, i, x)
        if bug == "noise into the sample" and target is CLEAN:
            arrived = arrived + 0.01 * course.noise(i)
        if bug == "centres the batch":
            arrived = arrived - 1e-3 * arrived.mean(0, keepdim=True)
        return known, arrived.double() if bug == "float64 throughout" else arrived

    def noise(self, course: Course, i: int, x: Tensor) -> Tensor:
        last = len(course.levels) - 1
        if self.mistake == "the same noise at each step":
            return course.noise(0)
        if self.mistake == "the next step's noise":
            return course.noise(min(i + 1, last - 1))
        if self.mistake == "noise of its own":
            return torch.randn_like(x)
        if self.mistake == "somebody else's stretch":
            return course.noise.between(course.levels[0], course.levels[i + 1])
        return course.noise(i)


def test_a_right_sampler_passes(passes: Callable[..., None]) -> None:
    """Deterministic, and with fresh noise in full and in part."""
    for eta in (0.0, 0.5, 1.0):
        passes(Generalised, eta=eta)


@pytest.mark.parametrize("eta", [0.0, 1.0], ids=["deterministic", "stochastic"])
@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("off by one", "stays_on_the_forward_process"),
        ("sign error", "stays_on_the_forward_process"),
        ("x0 and eps swapped", "stays_on_the_forward_process"),
        ("alpha squared", "stays_on_the_forward_process"),
        ("takes variance for preserved", "stays_on_other_forward_processes"),
        ("noise into the sample", "stays_on_the_forward_process"),
        ("always ends clean", "ends_where_the_levels_end"),
        ("divides by the signal", "starts_where_it_says"),
        ("asks at the next level", "shows_the_denoised"),
        ("one step short", "yields_its_steps"),
        ("counts from one", "yields_its_steps"),
        ("names the wrong level", "yields_its_steps"),
        ("works in place", "yields_its_steps"),
        ("shows eps", "shows_the_denoised"),
        ("walks before it is asked", "takes_a_step_at_a_time"),
        ("miscounts its calls", "calls_the_network_as_often_as_it_says"),
        ("denies its noise", "draws_noise_as_it_says"),
        ("centres the batch", "rows_are_independent"),
        ("float64 throughout", "keeps_the_dtype"),
    ],
)
def test_a_mistake_is_caught(caught: Callable[..., None], mistake: str, check: str, eta: float) -> None:
    caught(check, Generalised, eta=eta, mistake=mistake)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("variance too large", "stays_on_the_forward_process"),
        ("variance for std", "stays_on_the_forward_process"),
        ("old noise not shrunk", "stays_on_the_forward_process"),
        ("the same noise at each step", "takes_the_noise_of_its_step"),
        ("the next step's noise", "takes_the_noise_of_its_step"),
        ("somebody else's stretch", "takes_the_noise_of_its_step"),
        ("noise of its own", "repeats_itself"),
    ],
)
def test_a_mistake_of_the_noise_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Generalised, eta=1.0, mistake=mistake)


def test_coefficients_in_float32_are_caught(caught: Callable[..., None]) -> None:
    caught("stays_on_the_forward_process", Generalised, eta=0.0, mistake="float32 coefficients")


def test_an_order_that_is_not_there_is_caught(caught: Callable[..., None]) -> None:
    caught("has_its_order", Generalised, eta=0.0, mistake="says order 2")


def test_a_pure_start_that_is_said_to_be_impossible_is_caught(caught: Callable[..., None]) -> None:
    """Lint would refuse what works."""

    class Shy(Generalised):
        name = "shy"
        starts_pure: ClassVar[bool] = False

    caught("starts_where_it_says", Shy, eta=0.0)


class Believing(Generalised):
    """Asks a denoiser of its own making, of whose answers one picture is a fixed point."""

    def believes(self, x: Tensor, level: Level, course: Course, memory: list[Tensor]) -> Tensor:
        raise NotImplementedError

    def build(self) -> Any:
        def walk(x: Tensor, course: Course) -> Iterator[Step]:
            memory: list[Tensor] = []

            def denoise(x: Tensor, level: Level) -> Denoised:
                x0 = self.believes(x, level, course, memory)
                return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)

            return Walk(self.eta, "")(x, Course(**{**vars(course), "denoise": denoise}))

        return walk


class Frozen(Believing):
    """Keeps the first x0 for the whole walk."""

    name = "frozen"

    def believes(self, x: Tensor, level: Level, course: Course, memory: list[Tensor]) -> Tensor:
        memory[:] = memory or [course.denoise(x, level).x0_BCHW]
        return memory[0]


class Straight(Believing):
    """Takes x0 for linear in x, as it is for normal data."""

    name = "straight"

    def believes(self, x: Tensor, level: Level, course: Course, memory: list[Tensor]) -> Tensor:
        low, high = (course.denoise(torch.full_like(x, at), level).x0_BCHW for at in (0.0, 1e-3))
        return low + (high - low) / 1e-3 * x


@pytest.mark.parametrize("eta", [0.0, 1.0], ids=["deterministic", "stochastic"])
def test_a_solver_that_is_right_for_one_picture_only_is_caught(
    caught: Callable[..., None], eta: float
) -> None:
    caught("converges_for_gaussian_data", Frozen, eta=eta)


@pytest.mark.parametrize("eta", [0.0, 1.0], ids=["deterministic", "stochastic"])
def test_a_solver_that_is_right_for_normal_data_only_is_caught(
    caught: Callable[..., None], eta: float
) -> None:
    caught("is_exact_at_a_mixture", Straight, eta=eta)


def test_the_mixtures_quantiles_are_its_flow() -> None:
    """Oracle: the flow's own equation dx/dt = f·x + g·ε, as a difference over a hair's breadth of log-SNR."""
    data, noise = MixtureData(), torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 1, 3, 3)
    levels, moved = preserving(20001), 0.0
    for level, after in [levels[i : i + 2] for i in range(0, 20000, 2500)]:
        x = data.at(level, noise)
        denoised = data(x, level)
        euler = after.alpha * denoised.x0_BCHW + after.sigma * denoised.eps_BCHW
        # a step of 0.001 in log-SNR: Euler's error is its square, 1e-6, times the curvature
        torch.testing.assert_close(data.at(after, noise), euler, rtol=0, atol=2e-6)
        moved = max(moved, (euler - x).abs().max().item())
    assert moved > 2e-4


def test_the_mixtures_mean_and_std_are_those_of_its_samples() -> None:
    """160,000 quantiles: 0.0018 is a standard error of the mean, and more than one of the std."""
    data = MixtureData()
    drawn = data.at(CLEAN, normal((1, 1, 400, 400)))
    assert drawn.mean().item() == pytest.approx(data.mean, abs=8e-3)
    assert drawn.std().item() == pytest.approx(data.std, abs=8e-3)


def test_every_law_has_a_mutant() -> None:
    """By name, in this file."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [law.__name__ for law in sampler.CHECKS if f'"{law.__name__}"' not in text] == []
