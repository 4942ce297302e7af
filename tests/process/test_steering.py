"""Guidance and corrections composed. Oracles: the sums written out, and counted calls.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.process import (
    Aims,
    Denoised,
    Level,
    LinearSchedule,
    Model,
    Steered,
    V,
    View,
    clipped,
    denoiser,
    shifted,
    under,
)

SCHEDULE = LinearSchedule().build()
LEVEL = SCHEDULE.levels([600])[0]
PURE = Level(999.0, 0.0, 1.0)
X = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def labels(*values: int) -> Condition:
    return Condition(class_B=torch.tensor(values))


ASKED, NULL, OTHER = labels(1, 2, 3), labels(9, 9, 9), labels(4, 5, 6)


class Watched:
    """A denoiser, nonlinear in x and the label, row by row, that notes the labels of every call."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.prepared: list[list[int]] = []

    def __call__(self, x: Tensor, level: Level, condition: Condition) -> Denoised:
        assert condition.class_B is not None
        self.calls.append(condition.class_B.tolist())
        return self.plain(x, level, condition)

    @staticmethod
    def plain(x: Tensor, level: Level, condition: Condition) -> Denoised:
        assert condition.class_B is not None
        x0 = torch.tanh(x * condition.class_B.view(-1, 1, 1, 1) / 3 + 0.1)
        return Denoised(x0, (x - level.alpha * x0) / level.sigma, variance_BCHW=x0.exp())

    def prepare(self, condition: Condition) -> Condition:
        assert condition.class_B is not None
        self.prepared.append(condition.class_B.tolist())
        return condition

    @property
    def model(self) -> Model:
        return Model(
            under=under(self, self.prepare),
            backbone=nn.Identity(),
            schedule=SCHEDULE,
            space=nn.Identity(),
            space_shape=(2, 4, 4),
            conditioners={},
        )


@dataclass(eq=False)
class Towards:
    """`more` times the difference to each of its views, at some levels."""

    views: Sequence[View]
    more: float = 1.0
    asleep: bool = False
    shifts: list[Tensor] = field(default_factory=list)

    def active(self, level: Level) -> bool:
        return not self.asleep

    def shift(self, x: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor | None:
        self.shifts.append(
            sum((self.more * (plain.x0_BCHW - one.x0_BCHW) for one in seen), torch.zeros_like(x))
        )
        return self.shifts[-1] if seen else None


AIMS = Aims(condition=ASKED, null=NULL, others=())


def x0(condition: Condition, level: Level = LEVEL, x: Tensor = X) -> Tensor:
    return Watched.plain(x, level, condition).x0_BCHW


@pytest.mark.parametrize("level", [LEVEL, PURE], ids=["t 600", "no signal"])
def test_shifts_add_up(level: Level) -> None:
    """x₀ + 2·(x₀ − null) + 0.5·(x₀ − other), and ε with it; the learned variance is the plain one's."""
    pulls = [Towards([View(NULL)], 2.0), Towards([View(OTHER)], 0.5)]
    for order in (pulls, pulls[::-1]):
        found = Steered(AIMS, Watched().model, order)(X, level)
        wanted = 3.5 * x0(ASKED, level) - 2 * x0(NULL, level) - 0.5 * x0(OTHER, level)
        torch.testing.assert_close(found.x0_BCHW, wanted, rtol=0, atol=1e-13)
        back = level.alpha * found.x0_BCHW + level.sigma * found.eps_BCHW
        torch.testing.assert_close(back, X, rtol=0, atol=1e-13)
        assert found.variance_BCHW is not None
        assert torch.equal(found.variance_BCHW, x0(ASKED, level).exp())
        assert found.tilt is None


def test_all_views_are_one_call_and_equal_ones_are_one_row() -> None:
    """Two guidances look at the null condition, one of them at another too: three conditions, one call."""
    network = Watched()
    pulls = [Towards([View(NULL)]), Towards([View(NULL), View(OTHER)]), Towards([View(ASKED)])]
    denoise = Steered(AIMS, network.model, pulls)
    assert network.prepared == [[1, 2, 3, 9, 9, 9, 4, 5, 6]]
    for _ in range(3):
        denoise(X, LEVEL)
    assert network.calls == [[1, 2, 3, 9, 9, 9, 4, 5, 6]] * 3
    assert len(network.prepared) == 1, "before the walk, and not again"


def test_a_guidance_that_sleeps_costs_nothing() -> None:
    network = Watched()
    pull = Towards([View(NULL)])
    denoise = Steered(AIMS, network.model, [pull, Towards([View(OTHER)])])
    pull.asleep = True
    for _ in range(2):
        found = denoise(X, LEVEL)
    assert network.calls == [[1, 2, 3, 4, 5, 6]] * 2
    assert pull.shifts == []
    torch.testing.assert_close(found.x0_BCHW, 2 * x0(ASKED) - x0(OTHER), rtol=0, atol=1e-13)
    assert network.prepared[1:] == [[1, 2, 3, 4, 5, 6]], "made known once, when it was first needed"


def test_a_view_may_look_through_another_denoiser() -> None:
    network, calls = Watched(), []

    def other(x: Tensor, level: Level) -> Denoised:
        calls.append(level)
        return Denoised(x0_BCHW=x.sin(), eps_BCHW=x)

    found = Steered(AIMS, network.model, [Towards([View(ASKED, other)], 2.0)])(X, LEVEL)
    assert network.calls == [[1, 2, 3]], "not in the model's own batch"
    assert calls == [LEVEL]
    torch.testing.assert_close(found.x0_BCHW, 3 * x0(ASKED) - 2 * X.sin(), rtol=0, atol=1e-13)


def test_nothing_to_steer_is_the_plain_prediction() -> None:
    for pulls in ([], [Towards([])]):
        found = Steered(AIMS, Watched().model, pulls)(X, LEVEL)
        assert torch.equal(found.x0_BCHW, x0(ASKED))


def halved(x_t: Tensor, level: Level, guided: Denoised, plain: Denoised) -> Tensor:
    return guided.x0_BCHW / 2


def raised(x_t: Tensor, level: Level, guided: Denoised, plain: Denoised) -> Tensor:
    return guided.x0_BCHW + 1


def between(x_t: Tensor, level: Level, guided: Denoised, plain: Denoised) -> Tensor:
    return (guided.x0_BCHW + plain.x0_BCHW) / 2


@pytest.mark.parametrize(
    ("corrections", "wanted"),
    [
        ((halved, raised), lambda guided, plain: guided / 2 + 1),
        ((raised, halved), lambda guided, plain: (guided + 1) / 2),
        ((raised, between), lambda guided, plain: (guided + 1 + plain) / 2),
    ],
)
@pytest.mark.parametrize("level", [LEVEL, PURE], ids=["t 600", "no signal"])
def test_corrections_mend_the_sum_in_their_order_and_clipping_comes_last(
    level: Level, corrections: tuple[Callable[..., Tensor], ...], wanted: Callable[[Tensor, Tensor], Tensor]
) -> None:
    """Each sees what the one before left, and the plain prediction as it was."""
    denoise = Steered(AIMS, Watched().model, [Towards([View(NULL)], 3.0)], corrections)
    expected = wanted(4 * x0(ASKED, level) - 3 * x0(NULL, level), x0(ASKED, level))
    found = denoise(X, level)
    torch.testing.assert_close(found.x0_BCHW, expected, rtol=0, atol=1e-13)
    back = level.alpha * found.x0_BCHW + level.sigma * found.eps_BCHW
    torch.testing.assert_close(back, X, rtol=0, atol=1e-13)
    inside = clipped(denoise, 0.7)(X, level)
    torch.testing.assert_close(inside.x0_BCHW, expected.clamp(-0.7, 0.7), rtol=0, atol=1e-13)


def test_a_correction_s_numbers_are_kept_bit_for_bit() -> None:
    """x₀ is what the correction gave, and not the guided one plus a difference, which rounds."""
    given = torch.full_like(X, 0.1)
    found = Steered(AIMS, Watched().model, [Towards([View(NULL)], 9.0)], [lambda *_: given])(X, LEVEL)
    assert torch.equal(found.x0_BCHW, given)


@dataclass(eq=False)
class Sloping(Towards):
    """A shift that is a gradient: of −x·slope."""

    slope: float = 1.0

    def shift(self, x: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        return level.sigma**2 / level.alpha * self.gradient(x, level)

    def gradient(self, x: Tensor, level: Level) -> Tensor:
        return -x * self.slope


def test_a_gradient_is_in_x0_and_beside_it() -> None:
    """x₀ has all shifts; the tilt's x₀ those that are no gradients, corrected and clipped alike, and the sum of both
    gradients, taken wherever it is asked for.
    """
    pulls = [Sloping([], slope=0.5), Towards([View(NULL)], 2.0), Sloping([], slope=0.25)]
    found = clipped(Steered(AIMS, Watched().model, pulls, [halved]), 0.6)(X, LEVEL)
    steady = 3 * x0(ASKED) - 2 * x0(NULL)
    slope = -0.75 * LEVEL.sigma**2 / LEVEL.alpha * X
    torch.testing.assert_close(found.x0_BCHW, ((steady + slope) / 2).clamp(-0.6, 0.6), rtol=0, atol=1e-12)
    assert found.tilt is not None
    torch.testing.assert_close(found.tilt.x0_BCHW, (steady / 2).clamp(-0.6, 0.6), rtol=0, atol=1e-13)
    elsewhere = SCHEDULE.levels([100])[0]
    torch.testing.assert_close(found.tilt.gradient(2 * X, elsewhere), -1.5 * X, rtol=0, atol=1e-13)


@given(t=st.floats(0, 999), scale=st.floats(-50, 50), seed=st.integers(0, 2**32))
def test_a_shift_keeps_x_t(t: float, scale: float, seed: int) -> None:
    """alpha·x₀ + sigma·ε stays, whatever x₀ is shifted by; the variance goes along."""
    level = SCHEDULE.levels([t])[0]
    generator = torch.Generator().manual_seed(seed)
    x_t, x0_, shift = torch.randn(3, 1, 1, 2, 2, generator=generator, dtype=torch.float64)
    before = Denoised(x0_, (x_t - level.alpha * x0_) / level.sigma, variance_BCHW=x0_)
    after = shifted(before, scale * shift, level)
    torch.testing.assert_close(after.x0_BCHW, x0_ + scale * shift, rtol=0, atol=0)
    back = level.alpha * after.x0_BCHW + level.sigma * after.eps_BCHW
    # the two terms are at most 50 · 5 · 100 times larger than their sum where sigma is 0.01
    torch.testing.assert_close(back, x_t, rtol=0, atol=1e-11)
    assert after.variance_BCHW is x0_


@dataclass(eq=False)
class Mixed:
    """A mixture of the prediction and another, more of it at noisier levels, that notes what it is asked."""

    views: Sequence[View]
    asked: list[Level] = field(default_factory=list)

    def active(self, level: Level) -> bool:
        return True

    def weights(self, level: Level, like: Tensor) -> list[Tensor | float]:
        self.asked.append(level)
        return [-level.sigma]

    def shift(self, x: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        raise AssertionError("a mixture is mixed")


def test_what_is_mixed_is_settled_in_the_first_step() -> None:
    """Weights of all levels that are known then, also of those found after guidance was made, are asked for once; of
    any other when it is met. Oracle: the mixture of outputs, written out.
    """
    known, between, late = SCHEDULE.levels([800, 600, 400])[:3]
    levels, pull = [known], Mixed([View(NULL)])
    said = denoiser(lambda x, t, condition: torch.tanh(x * condition.class_B.view(-1, 1, 1, 1)), V())
    denoise = Steered(AIMS, replace(Watched().model, under=under(said)), [pull], levels=levels)
    levels.append(between)
    for level in (known, between, late, late, between, known):
        plain, null = (said(X, level, condition).eps_BCHW for condition in (ASKED, NULL))
        wanted = plain - level.sigma * (null - plain)
        torch.testing.assert_close(denoise(X, level).eps_BCHW, wanted, rtol=0, atol=1e-13)
    assert pull.asked == [known, between, late]
    denoise(X.float(), known)
    assert pull.asked[3:] == [known, between], "in another type it may be another tensor"


def test_rows_of_a_batch_are_themselves() -> None:
    """Row 1 alone is row 1 of the batch: the conditions are stacked, not mixed."""
    whole = Steered(AIMS, Watched().model, [Towards([View(NULL), View(OTHER)], 2.0)])(X, LEVEL)
    aims = replace(AIMS, condition=labels(2), null=labels(9))
    one = Steered(aims, Watched().model, [Towards([View(labels(9)), View(labels(5))], 2.0)])(X[1:2], LEVEL)
    torch.testing.assert_close(one.x0_BCHW, whole.x0_BCHW[1:2], rtol=0, atol=1e-13)
