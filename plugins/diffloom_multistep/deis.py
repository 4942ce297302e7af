"""DEIS: a polynomial for ε over time, an exact integral over sigma/alpha. Legend: B batch, C channels, H, W."""

from __future__ import annotations

import math
from typing import Literal

from diffloom.process import Course, Level, lagrange_integrals
from diffloom_multistep.multistep import FEW, Multistep, first_with_signal, order_at

Variable = Literal["log_rho", "time"]

MOST_GROWTH = 50.0
"""How many times as much as a step of first order one in time may make of an error in ε.

Measured on a mixture's exact flow, by 11 schedules, 7 spacings, 8 to 40 steps and orders 2 to 4: up to here no walk is
more than 1.3 times as far off as DDIM's; at 80 the first is 4 times, at 870 one is 75 times, beyond up to 1e5 times.
"""


class DEIS(Multistep):
    """Diffusion exponential integrator sampler (Zhang & Chen 2022), Adams-Bashforth kind.

    dx̄ = ε dρ with x̄ = x/alpha, ρ = sigma/alpha; ε is the polynomial through its last values in log ρ, as in
    diffusers, or in the schedule's time, the paper's tAB-DEIS (its section 3). In ρ itself it would be `LMS`, ρAB-DEIS.
    Into the clean level, where log ρ has no value, the step is of first order. Time is for levels that are about even
    in it: where a step is much longer than those before, the polynomial reaches too far, and the walk is refused.
    """

    remembers = "eps"

    def __init__(
        self, *, order: int = 3, variable: Variable = "log_rho", lower_order_final: bool = True
    ) -> None:
        """`lower_order_final` lets the order fall to 1 at the end of walks of fewer than 15 steps."""
        if order < 1:
            raise ValueError(f"the order is at least 1, not {order}")
        self.order = order
        self.variable = variable
        self.lower_order_final = lower_order_final

    def weights(self, course: Course, index: int) -> tuple[float, ...]:
        """alpha_s·∫ L_j dρ over λ = −log ρ, where dρ = −e^(−λ) dλ, without the step's own."""
        levels = course.levels
        current, following = levels[index : index + 2]
        in_time = self.variable == "time"
        # a level without signal has a time, but no log ρ
        since = 0 if in_time else first_with_signal(levels)
        low_end = self.lower_order_final and len(levels) <= FEW
        order = order_at(levels, index, highest=self.order, since=since, low_end=low_end)
        if order == 1 or following.is_clean:
            return ()
        known = [levels[index - back] for back in range(order)]
        places = [_time(level, course) if in_time else level.half_log_snr for level in known]
        if len(set(places)) < order:
            raise ValueError(
                "deis in time needs levels of different times, but beyond the schedule's ends all share one: "
                "choose a spacing within them, or the variable log_rho"
            )
        parts = lagrange_integrals(
            places,
            start=current.half_log_snr,
            end=following.half_log_snr,
            place=lambda lam: course.at(2 * lam).t if in_time else lam,
            density=lambda lam: -math.exp(-lam),
        )
        growth = math.fsum(map(abs, parts)) / abs(math.fsum(parts))
        if in_time and growth > MOST_GROWTH:
            raise ValueError(
                f"deis in time would make any error of the network {growth:.0f} times as large in the step from time "
                f"{current.t:g} to {following.t:g}: the levels are too uneven in time; take variable: log_rho, or a "
                "spacing that is even in time"
            )
        return tuple(following.alpha * part for part in parts[1:])


def _time(level: Level, course: Course) -> float:
    """The time of a level, by the same rule as of those between levels."""
    return course.at(level.log_snr).t if level.alpha > 0 else level.t
