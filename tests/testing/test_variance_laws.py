"""The laws of variances, on right ones and on mistakes made in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.kinds import Variance
from diffloom.process import Denoised, Level


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

    def log_variance(
        self, current: Level, following: Level, denoised: Denoised, *, least: float
    ) -> Tensor | float:
        bug = self.mistake
        if following.is_clean:
            return {"its own least": -9.0, "no logarithm of 0": -math.inf}.get(bug, math.log(least))
        std = self.std(current, following, denoised)
        assert isinstance(std, float)
        log_std = math.log(std)
        return {"log std": log_std, "base 2": 2 * log_std / math.log(2)}.get(bug, 2 * log_std)


def test_a_right_variance_passes(passes: Callable[..., None]) -> None:
    passes(Between)


class Learned(Between):
    """Interpolates in the logarithm, by what the network says (Nichol & Dhariwal 2021, eq. 15)."""

    name = "learned"
    learned = True

    def build(self) -> Any:
        bug = self.mistake

        class Interpolated:
            def std(self, current: Level, following: Level, denoised: Denoised) -> Tensor | float:
                if following.is_clean:
                    return 0.0
                assert denoised.variance_BCHW is not None
                return torch.exp(self.log_variance(current, following, denoised, least=1.0) / 2)

            def log_variance(
                self, current: Level, following: Level, denoised: Denoised, *, least: float
            ) -> Tensor:
                assert denoised.variance_BCHW is not None
                share = (denoised.variance_BCHW + 1) / 2 * (0 if bug == "deaf" else 1)
                large = current.sigma**2 - (current.alpha / following.alpha) ** 2 * following.sigma**2
                small = large * following.sigma**2 / current.sigma**2
                log_small = math.log(least if following.is_clean else small)
                mixed: Tensor = share * math.log(large) + (1 - share) * log_small
                if bug == "infinite where clean" and following.is_clean:
                    return mixed / 0
                if bug == "deaf where clean" and following.is_clean:
                    return mixed * 0
                return mixed.detach() if bug == "detached" else mixed

        return Interpolated()


def test_a_learned_variance_passes(passes: Callable[..., None]) -> None:
    passes(Learned)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("deaf", "reads_what_is_learned"),
        ("infinite where clean", "tells_its_logarithm"),
        ("detached", "trains_what_is_learned"),
        ("deaf where clean", "trains_what_is_learned"),
    ],
)
def test_a_mistake_in_a_learned_variance_is_caught(
    caught: Callable[..., None], mistake: str, check: str
) -> None:
    caught(check, Learned, mistake=mistake)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("noise into the sample", "ends_without_noise"),
        ("variance for std", "lies_between_small_and_large"),
        ("too large", "lies_between_small_and_large"),
        ("off by one", "lies_between_small_and_large"),
        ("negative", "is_positive_and_fits"),
        ("log std", "tells_its_logarithm"),
        ("base 2", "tells_its_logarithm"),
        ("its own least", "tells_its_logarithm"),
        ("no logarithm of 0", "tells_its_logarithm"),
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
