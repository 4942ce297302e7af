"""Laws of the kind `correction`. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.kinds import Correct, Correction
from diffloom.process import Denoised, Level
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.closed_forms import flowing, normal, preserving

SHAPE = (3, 2, 4, 4)
LEVELS = (Level(19.0, 0.0, 1.0), *preserving(5)[:-1], *flowing(3)[:-1])
"""The first has no signal left."""


def leaves_the_plain_alone(component: Correction) -> None:
    """Where guidance changed nothing and x₀ keeps to [−1, 1] there is nothing to correct."""
    for level in LEVELS:
        x_t, plain = _prediction(level)
        came = component.build()(x_t, level, plain, plain)
        expect_close(came, plain.x0_BCHW, within=1e-12, what=f"the plain x0 at alpha {level.alpha:g}")


def mends_what_is_overdone(component: Correction) -> None:
    """It changes a prediction of five times the spread at some level."""
    changes = [
        float((came - guided).abs().max())
        for level in LEVELS
        for came, guided in [_corrected(component.build(), level)]
    ]
    expect(max(changes) > 0.01, "a difference where guidance overdid it", changes)


def keeps_shape_and_type(component: Correction) -> None:
    """x₀ comes back with its own shape, float32 as float32 and float64 as float64; no graph is left."""
    for level in LEVELS:
        for dtype in (torch.float64, torch.float32):
            x_t, plain = _prediction(level, dtype=dtype)
            _, guided = _prediction(level, spread=5.0, dtype=dtype)
            came = component.build()(x_t, level, guided, plain)
            expect(came.dtype == dtype, f"x0 in {dtype}", came.dtype)
            expect(came.shape == plain.x0_BCHW.shape, f"x0 of shape {SHAPE}", tuple(came.shape))


def is_finite(component: Correction) -> None:
    """Also where no signal is left, where a prediction is constant and where it is far too large."""
    for level in LEVELS:
        for spread in (0.0, 1.0, 5.0, 1e6):
            for plain_spread in (0.0, 1.0):
                x_t, plain = _prediction(level, spread=plain_spread)
                _, guided = _prediction(level, spread=spread)
                came = component.build()(x_t, level, guided, plain)
                finite = bool(came.isfinite().all())
                expect(finite, f"finite numbers at alpha {level.alpha:g}, spread {spread:g}", came)
        zero = torch.zeros(SHAPE, dtype=torch.float64)
        nothing = Denoised(x0_BCHW=zero, eps_BCHW=zero)
        came = component.build()(zero, level, nothing, nothing)
        expect_close(came, zero, within=1e-12, what="a constant prediction")


def rows_are_independent(component: Correction) -> None:
    """A row is the same alone as in a batch."""
    for level in LEVELS:
        x_t, plain = _prediction(level)
        _, guided = _prediction(level, spread=5.0)
        together = component.build()(x_t, level, guided, plain)
        for row in range(SHAPE[0]):
            rows = slice(row, row + 1)
            alone = component.build()(x_t[rows], level, _of(guided, rows), _of(plain, rows))
            expect_close(alone, together[rows], within=1e-12, what=f"x0 of row {row} alone")


def repeats_itself(component: Correction) -> None:
    """It remembers nothing and draws nothing: the same prediction is corrected the same way twice."""
    correct = component.build()
    for level in LEVELS:
        (first, _), (second, _) = _corrected(correct, level), _corrected(correct, level)
        expect(torch.equal(first, second), "the same x0 a second time", "another")


def leaves_its_arguments_alone(component: Correction) -> None:
    """Neither x_t nor the predictions are changed in place."""
    for level in LEVELS:
        x_t, plain = _prediction(level)
        _, guided = _prediction(level, spread=5.0)
        given = (x_t, guided.x0_BCHW, guided.eps_BCHW, plain.x0_BCHW, plain.eps_BCHW)
        before = [tensor.clone() for tensor in given]
        component.build()(x_t, level, guided, plain)
        for name, tensor, was in zip(
            ("x_t", "guided x0", "guided eps", "plain x0", "plain eps"), given, before, strict=True
        ):
            expect(torch.equal(tensor, was), f"{name} to be left as it was", "it was changed in place")


def _prediction(
    level: Level, *, spread: float = 1.0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Denoised]:
    """x_t, and an x₀ within ±`spread` with the ε that belongs to it. Rows have spreads of their own."""
    x_t = normal(SHAPE, seed=3, dtype=dtype)
    rows = torch.tensor([0.5, 0.75, 1.0], dtype=dtype).view(-1, 1, 1, 1)
    x0 = spread * rows * normal(SHAPE, seed=5, dtype=dtype).tanh()
    return x_t, Denoised(x0_BCHW=x0, eps_BCHW=(x_t - level.alpha * x0) / level.sigma)


def _corrected(correct: Correct, level: Level) -> tuple[Tensor, Tensor]:
    """The corrected x₀ of an overdone prediction, and that prediction."""
    x_t, plain = _prediction(level)
    _, guided = _prediction(level, spread=5.0)
    return correct(x_t, level, guided, plain), guided.x0_BCHW


def _of(denoised: Denoised, rows: slice) -> Denoised:
    return Denoised(x0_BCHW=denoised.x0_BCHW[rows], eps_BCHW=denoised.eps_BCHW[rows])


CHECKS: tuple[Check, ...] = (
    leaves_the_plain_alone,
    mends_what_is_overdone,
    keeps_shape_and_type,
    is_finite,
    rows_are_independent,
    repeats_itself,
    leaves_its_arguments_alone,
)
