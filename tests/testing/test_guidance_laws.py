"""The laws of guidance and corrections, on right ones and on mistakes made in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.kinds import Correction, ScaledGuidance
from diffloom.nn import identity_attention, self_attentions
from diffloom.process import Aims, Denoised, Level, Model, View
from diffloom.testing import guided_model


@pytest.fixture
def fresh_model() -> Iterator[None]:
    """For mutants that spoil the kit's model: the next law makes another."""
    yield
    guided_model._shared.cache_clear()


class Away(ScaledGuidance):
    """Classifier-free guidance, right or with one mistake."""

    name = "away"

    mistake: str = ""
    """Which."""

    @property
    def compares(self) -> bool:
        return self.mistake != "says that it does not compare"

    @property
    def weighs(self) -> bool:
        return self.mistake == "says that it weighs"

    @property
    def neutral(self) -> bool:
        return {"always neutral": True, "never neutral": False}.get(self.mistake, super().neutral)

    def rows(self, rows: slice) -> Away:
        return self if self.mistake == "all scales for some rows" else super().rows(rows)

    def build(self) -> Any:
        before: list[Tensor] = []
        return lambda aims, model: (AwayPull(self.scale, self.mistake, aims, model, before),)


class AwayPull:
    def __init__(self, scale: Any, mistake: str, aims: Aims, model: Model, before: list[Tensor]) -> None:
        scales = scale if isinstance(scale, tuple) else (scale,)
        self.scales = (scales[0],) if mistake == "the first scale for all" else scales
        self.bug, self.aims, self.model = mistake, aims, model
        self.before = before
        self._views = (View(aims.null),)

    @property
    def views(self) -> Sequence[View]:
        return (View(self.aims.null),) if self.bug == "new views at every level" else self._views

    def active(self, level: Level) -> bool:
        return any(scale != 1 for scale in self.scales)

    def shift(self, x: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        bug, null = self.bug, seen[0].x0_BCHW
        away = plain.x0_BCHW - null
        more = torch.tensor([scale - 1 for scale in self.scales], dtype=x.dtype).view(-1, 1, 1, 1)
        if bug == "counts from zero":
            more = more + 1
        if bug == "deaf to its scale":
            more = more.clamp(max=1)
        if bug == "swapped":
            away = -away
        if bug == "a mean over the batch":
            away = away.mean(0, keepdim=True).expand_as(x)
        if bug == "asks at every level":
            self.model.under(self.aims.null)(x, level)
        if bug == "changes x in place":
            x.mul_(1.01)
        if bug == "leaves the network blind":
            for layer in self_attentions(self.model.backbone).values():
                layer.kernel = identity_attention
        if bug == "follows a graph":
            more = more.clone().requires_grad_()
        if bug == "remembers another walk":
            away = sum(self.before, away)
            self.before.append(away)
        shift = more * away
        if bug == "divides by the signal":
            shift = shift / level.alpha if level.alpha else shift / torch.zeros(())
        if bug == "adds a bias":
            shift = shift + 0.1
        return shift.double() if bug == "float64" else shift


class Sloped(Away):
    """Up a slope towards 0; right, or with a mistake in its gradient."""

    name = "sloped"

    @property
    def compares(self) -> bool:
        return False

    def build(self) -> Any:
        return lambda aims, model: (SlopedPull(self.scale, self.mistake, aims, model, []),)


class SlopedPull(AwayPull):
    def active(self, level: Level) -> bool:
        return level.alpha > 0 and super().active(level)

    def shift(self, x: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        power = 1 if self.bug == "sigma instead of its square" else 2
        return level.sigma**power / level.alpha * self.gradient(x, level)

    def gradient(self, x: Tensor, level: Level) -> Tensor:
        return -x * torch.tensor([scale - 1 for scale in self.scales], dtype=x.dtype).view(-1, 1, 1, 1)


class Mixed(Away):
    """The same as a mixture; right, or with a mistake in its weights."""

    name = "mixed"

    def build(self) -> Any:
        return lambda aims, model: (MixedPull(self.scale, self.mistake, aims, model, []),)


class MixedPull(AwayPull):
    asked = 0

    def weights(self, level: Level, like: Tensor) -> list[Tensor | float]:
        self.asked += 1
        more = torch.tensor([scale - 1 for scale in self.scales], dtype=like.dtype).view(-1, 1, 1, 1)
        if self.bug == "weighs by x":
            more = more * like.std()
        if self.bug == "weighs less each time":
            more = more / self.asked
        if self.bug == "a mixture of another sign":
            more = -more
        return [-more]


@pytest.mark.parametrize("component", [Away, Sloped, Mixed])
def test_a_right_guidance_passes(component: type[Away], passes: Callable[..., None]) -> None:
    passes(component, scale=2.0)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("always neutral", "is_neutral_where_it_says"),
        ("never neutral", "at_1_is_the_plain_model"),
        ("counts from zero", "gives_each_sample_its_scale"),
        ("deaf to its scale", "grows_with_its_scale"),
        ("swapped", "leads_away_from_the_null_condition"),
        ("adds a bias", "gives_each_sample_its_scale"),
        ("the first scale for all", "gives_each_sample_its_scale"),
        ("all scales for some rows", "gives_each_sample_its_scale"),
        ("float64", "stays_consistent"),
        ("divides by the signal", "stays_consistent"),
        ("follows a graph", "stays_consistent"),
        ("a mean over the batch", "rows_are_independent"),
        ("asks at every level", "asks_for_conditions_before_the_walk"),
        ("new views at every level", "asks_for_conditions_before_the_walk"),
        ("remembers another walk", "begins_afresh"),
        ("changes x in place", "leaves_the_model_alone"),
        ("leaves the network blind", "leaves_the_model_alone"),
        ("says that it does not compare", "tells_what_it_compares_with"),
        ("says that it weighs", "tells_what_it_weighs"),
    ],
)
def test_a_mistake_in_a_guidance_is_caught(
    caught: Callable[..., None], fresh_model: None, mistake: str, check: str
) -> None:
    caught(check, Away, mistake=mistake, scale=2.0)


def test_a_gradient_that_is_not_the_shift_is_caught(caught: Callable[..., None]) -> None:
    caught("shifts_by_its_gradient", Sloped, mistake="sigma instead of its square", scale=2.0)


@pytest.mark.parametrize("mistake", ["weighs by x", "weighs less each time", "a mixture of another sign"])
def test_weights_that_are_not_the_level_s_are_caught(caught: Callable[..., None], mistake: str) -> None:
    caught("mixes_by_the_level_alone", Mixed, mistake=mistake, scale=2.0)


class Softened(Correction):
    """x₀ with at most the largest value of the plain prediction, and of 1; right or with one mistake."""

    name = "softened"

    mistake: str = ""
    """Which."""

    def build(self) -> Any:
        bug = self.mistake
        calls: list[int] = []

        def correct(x_t: Tensor, level: Level, guided: Denoised, plain: Denoised) -> Tensor:
            x0 = guided.x0_BCHW
            calls.append(1)
            most = [part.x0_BCHW.abs().flatten(1).amax(1).view(-1, 1, 1, 1) for part in (plain, guided)]
            if bug == "one for the batch":
                most = [one.amax().expand_as(one) for one in most]
            allowed, found = most[0].clamp(min=1), most[1].clamp(min=1)
            if bug == "divides 0 by 0":
                allowed, found = most
            if bug == "needs a signal":
                found = found * (level.alpha / torch.tensor(level.alpha))
            soft = x0 * (allowed / found).clamp(max=1)
            if bug == "does nothing":
                return x0
            if bug == "always shrinks":
                soft = 0.9 * soft
            if bug == "a mean over the batch":
                soft = soft - soft.mean(0, keepdim=True) + x0.mean(0, keepdim=True)
            if bug == "float32":
                soft = soft.float()
            if bug == "flat":
                soft = soft.flatten(1)
            if bug == "dithers":
                soft = soft + 1e-3 * torch.rand_like(soft)
            if bug == "remembers":
                soft = soft / len(calls)
            if bug == "in place":
                return x0.copy_(soft)
            if bug == "spoils the plain":
                plain.x0_BCHW.clamp_(-0.5, 0.5)
            return soft

        return correct


def test_a_right_correction_passes(passes: Callable[..., None]) -> None:
    passes(Softened)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("does nothing", "mends_what_is_overdone"),
        ("always shrinks", "leaves_the_plain_alone"),
        ("float32", "keeps_shape_and_type"),
        ("flat", "keeps_shape_and_type"),
        ("divides 0 by 0", "is_finite"),
        ("needs a signal", "is_finite"),
        ("one for the batch", "rows_are_independent"),
        ("a mean over the batch", "rows_are_independent"),
        ("dithers", "repeats_itself"),
        ("remembers", "repeats_itself"),
        ("in place", "leaves_its_arguments_alone"),
        ("spoils the plain", "leaves_its_arguments_alone"),
    ],
)
def test_a_mistake_in_a_correction_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Softened, mistake=mistake)
