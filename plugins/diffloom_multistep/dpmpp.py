"""DPM-Solver++, multistep: an exact exponential, a polynomial for x₀. Legend: B batch, C channels, H, W."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal

from diffloom.process import Course, Level, exponential_integrals
from diffloom_multistep.multistep import FEW, Multistep, first_with_signal, order_at

SecondOrder = Literal["midpoint", "heun"]
ThirdOrder = Literal["taylor", "published"]


class DPMpp(Multistep):
    """x_s = sigma_s/sigma_t·x_t + alpha_s·∫ e^(λ − λ_s)·x₀(λ) dλ over half-log-SNR λ (Lu et al. 2022b, prop. 4.1).

    Into the clean level, λ = ∞, the step is of first order: the prediction itself.
    """

    remembers = "x0"
    highest: int

    def __init__(self, *, lower_order_final: bool = True) -> None:
        """`lower_order_final` lets the order fall to 1 at the end of walks of fewer than 15 steps."""
        self.lower_order_final = lower_order_final

    def weights(self, course: Course, index: int) -> tuple[float, ...]:
        """Those of the order that this step can have."""
        levels = course.levels
        low_end = self.lower_order_final and len(levels) <= FEW
        since = first_with_signal(levels)
        order = order_at(levels, index, highest=self.highest, since=since, low_end=low_end)
        if order == 1 or levels[index + 1].is_clean:
            return ()
        known = [levels[index - back].half_log_snr for back in range(order)]
        return self.correction(known, levels[index + 1])

    @abstractmethod
    def correction(self, known: list[float], following: Level) -> tuple[float, ...]:
        """The weights, given λ where x₀ is known, newest first: two values of it or more."""


class DPMpp2M(DPMpp):
    """DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2).

    With `midpoint`, as published and in k-diffusion, the line through the last two x₀ is read at half the step; with
    `heun` it is integrated exactly.
    """

    highest = 2

    def __init__(self, *, solver_type: SecondOrder = "midpoint", lower_order_final: bool = True) -> None:
        super().__init__(lower_order_final=lower_order_final)
        self.solver_type = solver_type

    def correction(self, known: list[float], following: Level) -> tuple[float, ...]:
        """Of the x₀ before this one."""
        if self.solver_type == "heun":
            return exact_weights(known, following)
        return (following.alpha * line_at_half(known, following.half_log_snr),)


class DPMpp3M(DPMpp):
    """DPM-Solver++(3M): a parabola through the last three x₀.

    With `taylor` it is integrated exactly. With `published`, the formula of the authors' code and of diffusers, which
    k-diffusion's `sample_dpmpp_3m_sde` has too, its square term counts half, and the order is 2.
    """

    highest = 3

    def __init__(self, *, solver_type: ThirdOrder = "taylor", lower_order_final: bool = True) -> None:
        super().__init__(lower_order_final=lower_order_final)
        self.solver_type = solver_type

    def correction(self, known: list[float], following: Level) -> tuple[float, ...]:
        """Of the one or two x₀ before this one."""
        if self.solver_type == "taylor":
            return exact_weights(known, following)
        if len(known) == 2:  # the authors' code begins with 2M
            return (following.alpha * line_at_half(known, following.half_log_snr),)
        return _with_half_the_square(known, following)


def exact_weights(known: list[float], following: Level) -> tuple[float, ...]:
    """Of the polynomial through all that is known, integrated exactly."""
    _, *rest = exponential_integrals(known, start=known[0], end=following.half_log_snr)
    return tuple(following.alpha * part for part in rest)


def line_at_half(known: list[float], end: float) -> float:
    """(1 − e^(−h))·L₁(λ + h/2), without alpha_s: 1/(2r) times e^(−h) − 1, in Lu et al. 2022b, algorithm 2."""
    h = end - known[0]
    return math.expm1(-h) * h / (2 * (known[0] - known[1]))


def _with_half_the_square(known: list[float], following: Level) -> tuple[float, ...]:
    """The parabola a + b·s + c·s² in s = λ − known[0], its integral with c/2 for c."""
    end, (a, b, c) = following.half_log_snr, known
    whole = exact_weights(known, following)
    h = end - a
    slope = 1 + math.expm1(-h) / h  # ∫ e^(λ − end)·s dλ / h
    square = h * h * (1 - 2 * slope / h)  # ∫ e^(λ − end)·s² dλ
    halves = (
        following.alpha * square / 2 / ((b - a) * (b - c)),
        following.alpha * square / 2 / ((c - a) * (c - b)),
    )
    return tuple(part - half for part, half in zip(whole, halves, strict=True))
