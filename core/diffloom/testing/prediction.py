"""Laws of the kind `prediction`. Legend: alpha, sigma are floats or tensors (B, 1, 1, 1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffloom.kinds import Conversion, Prediction
from diffloom.process import VPSchedule
from diffloom.testing.checks import Check, expect, expect_close, expect_refusal
from diffloom.testing.closed_forms import Quarter, normal

PRESERVING = [(math.cos(angle), math.sin(angle)) for angle in (0.05, 0.3, 0.8, 1.2, 1.5)]
OTHERS = [(1.0, 0.05), (1.0, 1.0), (1.0, 40.0), (0.9, 0.1), (0.2, 0.8)]
"""alpha and sigma of variance-exploding and flow schedules."""
SHAPE = (2, 3, 4, 4)


def finds_x0_and_eps(component: Prediction) -> None:
    """Of its own target it recovers x₀ and ε, whether alpha and sigma are floats or tensors."""
    _expect_inversion(component, PRESERVING)


def finds_x0_and_eps_at_any_level(component: Prediction) -> None:
    """So it does where alpha² + sigma² is not 1."""
    _expect_inversion(component, OTHERS)


def splits_any_output_consistently(component: Prediction) -> None:
    """Of an imperfect network's output too, alpha·x₀ + sigma·ε = x_t."""
    conversion = _built(component)
    output, x_t = normal(SHAPE, seed=1), normal(SHAPE, seed=2)
    for alpha, sigma in PRESERVING + OTHERS:
        x0, eps = conversion.x0_eps(output, x_t, alpha, sigma)
        what = f"alpha·x0 + sigma·eps at alpha {alpha:.3g}, sigma {sigma:.3g}"
        expect_close(alpha * x0 + sigma * eps, x_t, within=1e-10, what=what)


def gives_any_output_back(component: Prediction) -> None:
    """The target of the x₀ and ε of any output is that output."""
    conversion = _built(component)
    output, x_t = normal(SHAPE, seed=1), normal(SHAPE, seed=2)
    for alpha, sigma in PRESERVING + OTHERS:
        x0, eps = conversion.x0_eps(output, x_t, alpha, sigma)
        came = conversion.target(x0, eps, alpha, sigma)
        expect_close(came, output, within=1e-9, what=f"the output at alpha {alpha:.3g}, sigma {sigma:.3g}")


def is_told_by_four_numbers(component: Prediction) -> None:
    """At a level x₀ and ε are each a number times x_t and a number times the output, pixel by pixel.

    By these numbers samplers step, without ever making x₀ and ε (`Denoised`): of a conversion that bends, adds, or
    mixes pixels they would make other pictures, and nobody would notice.
    """
    conversion = _built(component)
    output, x_t = normal(SHAPE, seed=1), normal(SHAPE, seed=2)
    nothing, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    for alpha, sigma in PRESERVING + OTHERS:
        of_x_t = conversion.x0_eps(nothing, one, alpha, sigma)
        of_output = conversion.x0_eps(one, nothing, alpha, sigma)
        came = conversion.x0_eps(output, x_t, alpha, sigma)
        for name, value, a, b in zip(("x0", "eps"), came, of_x_t, of_output, strict=True):
            what = f"{name} as {float(a):.3g}·x_t + {float(b):.3g}·output at alpha {alpha:.3g}, sigma {sigma:.3g}"
            expect_close(value, a * x_t + b * output, within=1e-10, what=what)


def gains_what_x0_does_to_the_target(component: Prediction) -> None:
    """gain is |d target / d x₀| at fixed x_t, as floats and as tensors, and never negative."""
    conversion = _built(component)
    x0, eps, change = (normal(SHAPE, seed=seed) for seed in (1, 2, 3))
    for alpha, sigma in PRESERVING + OTHERS:
        before = conversion.target(x0, eps, alpha, sigma)
        after = conversion.target(x0 + change, eps - alpha / sigma * change, alpha, sigma)  # the same x_t
        for gain in (conversion.gain(alpha, sigma), conversion.gain(_column([alpha]), _column([sigma]))):
            at = f"alpha {alpha:.3g}, sigma {sigma:.3g}"
            expect(bool(torch.as_tensor(gain >= 0).all()), f"a gain of 0 or more at {at}", gain)
            wanted = (after - before).abs()
            expect_close(gain * change.abs(), wanted, within=1e-9, what=f"gain·|change of x0| at {at}")


def knows_pure_noise(component: Prediction) -> None:
    """At alpha = 0 the gain is finite, and x₀ is found, unless the prediction `needs_signal`: then the gain is 0."""
    conversion = _built(component)
    x0, eps = normal(SHAPE, seed=1), normal(SHAPE, seed=2)
    gain = float(conversion.gain(0.0, 1.0))
    if component.needs_signal:
        expect(gain == 0, "a gain of 0 where no signal is left, as `needs_signal` says", gain)
        return
    expect(math.isfinite(gain) and gain > 0, "a finite gain above 0 where no signal is left", gain)
    found, noise = conversion.x0_eps(conversion.target(x0, eps, 0.0, 1.0), eps, 0.0, 1.0)
    expect_close(found, x0, within=1e-9, what="x0 recovered where alpha is 0")
    expect_close(noise, eps, within=1e-9, what="eps recovered where alpha is 0")


def says_whether_times_must_be_counted(component: Prediction) -> None:
    """It builds beside a continuous schedule, unless it `needs_counted_times`: then that is a ValueError."""
    continuous = VPSchedule().build()
    if component.needs_counted_times:
        expect_refusal(lambda: component.build(schedule=continuous), "a schedule of continuous times")
    else:
        component.build(schedule=continuous)


def scales_the_input_by_the_level(component: Prediction) -> None:
    """scale_in is finite and above 0 at every level, the same for floats as for tensors."""
    conversion = _built(component)
    for alpha, sigma in (*PRESERVING, *OTHERS, (0.0, 1.0)):
        scale = float(conversion.scale_in(alpha, sigma))
        expect(math.isfinite(scale) and scale > 0, "a finite scale above 0", scale)
        as_tensor = torch.as_tensor(conversion.scale_in(_column([alpha]), _column([sigma])))
        expect_close(
            as_tensor.double().flatten()[:1],
            _column([scale]).flatten(),
            within=1e-12,
            what="scale_in of tensors",
        )


def reads_the_output(component: Prediction) -> None:
    """x₀ depends on the network's output, and the gradient flows through."""
    output = normal(SHAPE, seed=1).requires_grad_()
    x0, _ = _built(component).x0_eps(output, normal(SHAPE, seed=2), 0.6, 0.8)
    expect(x0.requires_grad, "x0 to carry the output's gradient", "none")
    x0.sum().backward()  # type: ignore[no-untyped-call]
    expect(output.grad is not None and bool(output.grad.all()), "a gradient for every output", output.grad)


def keeps_the_dtype(component: Prediction) -> None:
    """float32 in, float32 out."""
    conversion = _built(component)
    x0, eps = (normal(SHAPE, seed=seed, dtype=torch.float32) for seed in (1, 2))
    target = conversion.target(x0, eps, 0.6, 0.8)
    for name, value in (
        ("target", target),
        *zip(("x0", "eps"), conversion.x0_eps(target, x0, 0.6, 0.8), strict=True),
    ):
        expect(value.dtype == torch.float32, f"{name} in float32", value.dtype)


def _built(component: Prediction) -> Conversion:
    return component.build(schedule=Quarter())


def _expect_inversion(component: Prediction, pairs: list[tuple[float, float]]) -> None:
    conversion = _built(component)
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
    gives_any_output_back,
    is_told_by_four_numbers,
    gains_what_x0_does_to_the_target,
    knows_pure_noise,
    says_whether_times_must_be_counted,
    scales_the_input_by_the_level,
    reads_the_output,
    keeps_the_dtype,
)
