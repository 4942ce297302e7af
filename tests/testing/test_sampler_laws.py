"""The laws of samplers, on one right ancestral sampler and on mistakes made in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
import torch

from diffloom.kinds import Sampler
from diffloom.process import CLEAN, Denoised, Step


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

    def build(self) -> Callable[..., Iterator[Step]]:
        return Walk(self.eta, self.mistake)


class Walk:
    def __init__(self, eta: float, mistake: str) -> None:
        self.eta, self.mistake = eta, mistake

    def __call__(self, x: Any, levels: Any, denoise: Any, *, noise: Any, variance: Any) -> Iterator[Step]:
        steps = self.steps(x, levels, denoise, noise, variance)
        return iter(list(steps)) if self.mistake == "walks before it is asked" else steps

    def steps(self, x: Any, levels: Any, denoise: Any, noise: Any, variance: Any) -> Iterator[Step]:
        bug = self.mistake
        last = len(levels) - 1
        for i in range(last - 1 if bug == "one step short" else last):
            level, following = levels[i], levels[i + 1]
            target = levels[min(i + 2, last)] if bug == "off by one" else following
            known = denoise(
                x, following if bug == "asks at the next level" and not following.is_clean else level
            )
            x0, eps = known.x0_BCHW, known.eps_BCHW
            if bug == "always ends clean" and i == last - 1:
                target = CLEAN
            if bug == "x0 and eps swapped":
                x0, eps = eps, x0
            std = 0.0 if target.is_clean else self.eta * variance.std(level, target, known)
            rest = math.sqrt(target.sigma**2 - std**2)
            fresh = std
            if bug == "variance too large":
                fresh = std * 1.1
            if bug == "variance for std":
                fresh = std**2
            if bug == "old noise not shrunk":
                rest = target.sigma
            if bug == "sign error":
                rest = -rest
            alpha = torch.tensor(target.alpha).item() if bug == "float32 coefficients" else target.alpha
            if bug == "alpha squared":
                alpha = target.alpha**2
            arrived = alpha * x0 + rest * eps
            if fresh:
                arrived = arrived + fresh * self.noise(noise, i, last, x)
            if bug == "noise into the sample" and target is CLEAN:
                arrived = arrived + 0.01 * noise(i)
            if bug == "centres the batch":
                arrived = arrived - 1e-3 * arrived.mean(0, keepdim=True)
            if bug == "float64 throughout":
                arrived = arrived.double()
            begun = x.clone() if bug == "works in place" else x
            yield Step(
                index=i + 1 if bug == "counts from one" else i,
                level=level,
                next_level=levels[i] if bug == "names the wrong level" else following,
                x_t_BCHW=begun,
                x0_BCHW=eps if bug == "shows eps" else known.x0_BCHW,
                following_BCHW=x.copy_(arrived) if bug == "works in place" else arrived,
            )
            x = arrived

    def noise(self, noise: Any, i: int, last: int, x: Any) -> Any:
        if self.mistake == "the same noise at each step":
            return noise(0)
        if self.mistake == "the next step's noise":
            return noise(min(i + 1, last - 1))
        if self.mistake == "noise of its own":
            return torch.randn_like(x)
        return noise(i)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_right_sampler_passes(passes: Callable[..., None], eta: float) -> None:
    passes(Generalised, eta=eta)


@pytest.mark.parametrize("eta", [0.0, 1.0], ids=["deterministic", "stochastic"])
@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("off by one", "stays_on_the_forward_process"),
        ("sign error", "stays_on_the_forward_process"),
        ("x0 and eps swapped", "stays_on_the_forward_process"),
        ("alpha squared", "stays_on_the_forward_process"),
        ("always ends clean", "ends_where_the_levels_end"),
        ("asks at the next level", "shows_the_denoised"),
        ("one step short", "yields_every_step"),
        ("counts from one", "yields_every_step"),
        ("names the wrong level", "yields_every_step"),
        ("works in place", "yields_every_step"),
        ("shows eps", "shows_the_denoised"),
        ("walks before it is asked", "takes_a_step_at_a_time"),
        ("noise into the sample", "takes_the_noise_of_its_step"),
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
        ("noise of its own", "repeats_itself"),
    ],
)
def test_a_mistake_of_the_noise_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Generalised, eta=1.0, mistake=mistake)


def test_coefficients_in_float32_are_caught(caught: Callable[..., None]) -> None:
    caught("stays_on_the_forward_process", Generalised, eta=0.0, mistake="float32 coefficients")


def test_a_solver_that_is_right_for_one_picture_only_is_caught(caught: Callable[..., None]) -> None:
    """Keeping the first x0 for the whole walk keeps a single picture's law, and blurs any other data."""
    caught("converges_for_gaussian_data", Frozen)


class Frozen(Generalised):
    """Believes its first guess."""

    name = "frozen"

    def build(self) -> Callable[..., Iterator[Step]]:
        def walk(x: Any, levels: Any, denoise: Any, *, noise: Any, variance: Any) -> Iterator[Step]:
            first: list[Any] = []

            def believing(x: Any, level: Any) -> Denoised:
                first[:] = first or [denoise(x, level).x0_BCHW]
                return Denoised(x0_BCHW=first[0], eps_BCHW=(x - level.alpha * first[0]) / level.sigma)

            return Walk(0.0, "")(x, levels, believing, noise=noise, variance=variance)

        return walk
