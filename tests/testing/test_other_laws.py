"""The laws of objectives and data, on right ones and on mistakes made in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from diffloom.errors import DataError
from diffloom.kinds import Data, DataInfo, Example, ImageInfo, Objective


class Squared(Objective):
    """The squared error, right or with one mistake."""

    name = "squared"

    mistake: str = ""
    """Which."""

    def build(self) -> Any:
        bug = self.mistake

        def loss(network: Any, x0: Tensor, *, process: Any, draws: Any) -> Tensor:
            last = process.schedule.steps - 1
            t_B = (draws.uniform("time") * process.schedule.steps).floor()
            if bug == "past the end":
                t_B = t_B + 1 + last
            eps = draws.normal("noise", x0.shape[1:], dtype=x0.dtype)
            if bug == "noise of its own":
                eps = torch.randn(x0.shape, dtype=x0.dtype)
            if bug == "the same each step":
                eps, t_B = (
                    draws.at(0).normal("noise", x0.shape[1:], dtype=x0.dtype),
                    draws.at(0).uniform("time"),
                )
            alpha, sigma = (
                f(t_B).view(-1, 1, 1, 1).to(x0.dtype)
                for f in (process.schedule.alpha, process.schedule.sigma)
            )
            x_t = (sigma * x0 + alpha * eps) if bug == "alpha and sigma swapped" else alpha * x0 + sigma * eps
            output = network(x_t, t_B if bug == "float64 times" else t_B.float())
            target = process.prediction.target(x0, eps, alpha, sigma)
            if bug == "predicts x0":
                target = x0
            if bug == "sign error":
                target = -target
            if bug == "detached":
                output = output.detach()
            error = (output - target).square().flatten(1).mean(1)
            if bug == "one number":
                return error.mean()
            if bug == "relative to the batch":
                return error / error.mean()
            return error.double() if bug == "float64" else error

        return loss


def test_a_right_objective_passes(passes: Callable[..., None]) -> None:
    passes(Squared)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("one number", "gives_one_loss_each"),
        ("float64", "gives_one_loss_each"),
        ("float64 times", "gives_one_loss_each"),
        ("past the end", "gives_one_loss_each"),
        ("predicts x0", "is_least_for_a_perfect_network"),
        ("sign error", "is_least_for_a_perfect_network"),
        ("alpha and sigma swapped", "is_least_for_a_perfect_network"),
        ("relative to the batch", "rows_are_independent"),
        ("noise of its own", "rows_are_independent"),
        ("the same each step", "draws_anew_each_step"),
    ],
)
def test_a_mistake_in_an_objective_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Squared, mistake=mistake)


def test_a_detached_loss_is_caught(check_component: Any) -> None:
    assert "trains_the_network" in {failure.check for failure in check_component(Squared, mistake="detached")}


class Stripes(Data):
    """Twelve striped pictures with a label, right or with one mistake."""

    name = "stripes"

    mistake: str = ""
    """Which."""

    @property
    def deterministic(self) -> bool:
        return self.mistake == "calls itself deterministic"

    def build(self, *, image: ImageInfo) -> Any:
        if image.channels > 3 or self.mistake == "refuses everything":
            raise DataError("grey or colour only")
        return StripeExamples(self.mistake, image)


class StripeExamples:
    def __init__(self, mistake: str, image: ImageInfo) -> None:
        self.mistake, self.image = mistake, image
        self.cache: dict[int, np.ndarray] = {}
        self.calls = 0

    @property
    def info(self) -> DataInfo:
        return DataInfo(
            examples=13 if self.mistake == "counts one more" else 12, classes={"label": ("a", "b", "c")}
        )

    def __len__(self) -> int:
        return 12

    def example(self, index: int, rng: np.random.Generator) -> Example:
        bug = self.mistake
        self.calls += 1
        frequency = 1 if bug == "one picture" else index + 1
        row = np.sin(frequency * np.arange(self.image.width) / 3).astype(np.float32)
        picture = np.broadcast_to(row, self.image.shape).copy()
        draw = np.random.default_rng(self.calls) if bug == "draws of its own" else rng
        picture *= 1.0 if bug == "one picture" else np.float32(draw.uniform(0.5, 1.0))
        if bug == "bytes":
            picture = (picture + 1) * 127
        if bug == "float64":
            picture = picture.astype(np.float64)
        if bug == "channels last":
            picture = picture.transpose(1, 2, 0)
        if bug == "hands out its cache":
            picture = self.cache.setdefault(index, picture)
        label: Any = 3 if bug == "a label too many" else index % 3
        if bug == "an unknown name":
            label = "d"
        conditions = (
            {} if bug == "no label" or (bug == "a label now and then" and index % 2) else {"label": label}
        )
        return Example(picture, conditions)


def test_right_data_pass(passes: Callable[..., None]) -> None:
    passes(Stripes)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("refuses everything", "opens"),
        ("counts one more", "opens"),
        ("bytes", "gives_pictures"),
        ("float64", "gives_pictures"),
        ("channels last", "gives_pictures"),
        ("one picture", "gives_pictures"),
        ("draws of its own", "depends_on_index_and_rng_alone"),
        ("hands out its cache", "depends_on_index_and_rng_alone"),
        ("calls itself deterministic", "is_random_unless_it_says_otherwise"),
        ("a label too many", "names_its_conditions"),
        ("an unknown name", "names_its_conditions"),
        ("no label", "names_its_conditions"),
        ("a label now and then", "names_its_conditions"),
    ],
)
def test_a_mistake_in_data_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Stripes, mistake=mistake)
