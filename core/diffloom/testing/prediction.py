"""Laws of the kind `prediction`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffloom.kinds import Prediction
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.closed_forms import normal

PRESERVING = [(math.cos(angle), math.sin(angle)) for angle in (0.02, 0.3, 0.8, 1.2, 1.5)]
OTHERS = [(1.0, 0.02), (1.0, 1.0), (1.0, 40.0), (0.9, 0.1), (0.2, 0.8)]
"""alpha and sigma of variance-exploding and flow schedules."""


def finds_x0_and_eps(component: Prediction) -> None:
    """Of its own target it recovers x₀ and ε, whether alpha and sigma are floats or tensors."""
    _expect_inversion(component, PRESERVING)


def finds_x0_and_eps_at_any_level(component: Prediction) -> None:
    """So it does where alpha² + sigma² is not 1."""
    _expect_inversion(component, OTHERS)


def splits_any_output_consistently(component: Prediction) -> None:
    """Of an imperfect network's output too, alpha·x₀ + sigma·ε = x_t."""
    conversion = component.build()
    output, x_t = normal((2, 3, 4, 4), seed=1), normal((2, 3, 4, 4), seed=2)
    for alpha, sigma in PRESERVING + OTHERS:
        x0, eps = conversion.x0_eps(output, x_t, alpha, sigma)
        what = f"alpha·x0 + sigma·eps at alpha {alpha:.3g}, sigma {sigma:.3g}"
        expect_close(alpha * x0 + sigma * eps, x_t, within=1e-10, what=what)


def reads_the_output(component: Prediction) -> None:
    """x₀ depends on the network's output, and the gradient flows through."""
    output = normal((2, 3, 4, 4), seed=1).requires_grad_()
    x0, _ = component.build().x0_eps(output, normal((2, 3, 4, 4), seed=2), 0.6, 0.8)
    expect(x0.requires_grad, "x0 to carry the output's gradient", "none")
    x0.sum().backward()  # type: ignore[no-untyped-call]
    expect(output.grad is not None and bool(output.grad.all()), "a gradient for every output", output.grad)


def keeps_the_dtype(component: Prediction) -> None:
    """float32 in, float32 out."""
    conversion = component.build()
    x0, eps = (normal((2, 3, 4, 4), seed=seed, dtype=torch.float32) for seed in (1, 2))
    target = conversion.target(x0, eps, 0.6, 0.8)
    for name, value in (
        ("target", target),
        *zip(("x0", "eps"), conversion.x0_eps(target, x0, 0.6, 0.8), strict=True),
    ):
        expect(value.dtype == torch.float32, f"{name} in float32", value.dtype)


def _expect_inversion(component: Prediction, pairs: list[tuple[float, float]]) -> None:
    conversion = component.build()
    x0, eps = normal((len(pairs), 3, 4, 4), seed=1), normal((len(pairs), 3, 4, 4), seed=2)
    alphas, sigmas = (_column([pair[i] for pair in pairs]) for i in (0, 1))
    cases: list[tuple[slice, Tensor | float, Tensor | float]] = [(slice(None), alphas, sigmas)]
    cases += [(slice(i, i + 1), alpha, sigma) for i, (alpha, sigma) in enumerate(pairs)]
    for rows, alpha, sigma in cases:
        target = conversion.target(x0[rows], eps[rows], alpha, sigma)
        came = conversion.x0_eps(target, alpha * x0[rows] + sigma * eps[rows], alpha, sigma)
        for name, value, wanted in zip(("x0", "eps"), came, (x0[rows], eps[rows]), strict=True):
            at = f"alpha {alpha:.3g}, sigma {sigma:.3g}" if isinstance(alpha, float) else "tensors"
            expect_close(value, wanted, within=1e-10, what=f"{name} recovered from the target, at {at}")


def _column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


CHECKS: tuple[Check, ...] = (
    finds_x0_and_eps,
    finds_x0_and_eps_at_any_level,
    splits_any_output_consistently,
    reads_the_output,
    keeps_the_dtype,
)
