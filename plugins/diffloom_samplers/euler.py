"""Euler's method, and the skeleton of solvers that look ahead once in a step.

With y = x/alpha and r = sigma/alpha the probability flow is dy/dr = ε(x, t), whatever the schedule (Song et al. 2020,
eq. 14). Euler's step arrives at x₀ + r·ε, that is at alpha·x₀ + sigma·ε, which is also right where it begins at pure
noise, with y infinite. Better solvers add a multiple of what the network says ahead more than here.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper, Term, mixed, perturbed, summed
from diffloom_samplers.fresh_noise import Ancestry, Churn


@dataclass(frozen=True, slots=True)
class Look:
    """A second call within a step, at the point that Euler's method arrives at."""

    level: Level
    """Where."""
    gain: float
    """How much of the difference between what it says and what the first call said is added."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One step in constants."""

    level: Level
    """Where it begins."""
    start: Level
    """Where the network is asked: that level, or a noisier one."""
    carry: float
    """What x_t is multiplied by on the way there."""
    churn_std: float
    """Of the noise that is added on the way there."""
    landing: Level
    """Where the step arrives before its last noise."""
    look: Look | None
    """The second call."""
    here: tuple[float, float]
    """What x₀ and ε of the first call count in the step, or, where the second is at its landing, in what mends it."""
    ahead: tuple[float, float]
    """And those of the second."""
    fresh_std: float
    """Of the last noise."""


class Euler(Stepper):
    """First order, one call a step: k-diffusion's `sample_euler`, and with `ancestry` its `sample_euler_ancestral`.

    Without fresh noise it is DDIM. A step into the clean level, or from pure noise, is of first order for subclasses
    too.
    """

    compares: ClassVar[Literal["x0", "eps"]] = "eps"
    """What the two calls are compared by."""

    def __init__(self, *, churn: Churn | None = None, ancestry: Ancestry | None = None) -> None:
        """Without `churn` and `ancestry` it is deterministic."""
        self.churn = churn or Churn()
        self.ancestry = ancestry or Ancestry()

    def look(self, start: Level, landing: Level, course: Course) -> Look | None:
        """The second call of a step; neither end is pure noise or clean."""
        return None

    def begin(self, course: Course) -> Move:
        """The step."""
        legs = [self._leg(course, *stride) for stride in pairwise(course.levels)]

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            leg = legs[index]
            if leg.start is not leg.level:
                x_BCHW = perturbed(mixed(leg.carry, x_BCHW), leg.churn_std, course.noise, index)
            here = course.denoise(x_BCHW, leg.start)
            x0, eps = leg.here
            if leg.look is None and leg.fresh_std == 0.0:
                return here, here.combined(x0=x0, eps=eps)
            terms: tuple[Term, ...] = here.terms(x0=x0, eps=eps)
            if leg.look is not None:
                terms = bent(here, terms, leg, leg.look)
            if leg.fresh_std != 0.0:
                terms = (*terms, (leg.fresh_std, course.noise(index)))
            return here, summed(terms)

        def bent(here: Denoised, terms: tuple[Term, ...], leg: Leg, look: Look) -> tuple[Term, ...]:
            """Euler's step, and what the second call adds to it."""
            there = straight(here, look.level)
            x0, eps = leg.ahead
            terms += course.denoise(there, look.level).terms(x0=x0, eps=eps)
            return ((1.0, there), *terms) if look.level is leg.landing else terms

        return move

    def _leg(self, course: Course, level: Level, next_level: Level) -> Leg:
        start, churn_std = self.churn.raised(level, course)
        landing, fresh_std = self.ancestry.landing(start, next_level)
        first_order = start.alpha == 0 or landing.is_clean
        look = None if first_order else self.look(start, landing, course)
        x0, eps = landing.alpha, landing.sigma
        if look is not None and look.level is landing:  # Euler's step is there already
            x0 = eps = 0.0
        gain = 0.0 if look is None else look.gain
        ahead = (gain, 0.0) if self.compares == "x0" else (0.0, gain)
        return Leg(
            level=level,
            start=start,
            carry=1.0 if start is level else start.alpha / level.alpha,
            churn_std=churn_std,
            landing=landing,
            look=look,
            here=(x0 - ahead[0], eps - ahead[1]),
            ahead=ahead,
            fresh_std=fresh_std,
        )


def straight(here: Denoised, level: Level) -> Tensor:
    """Where Euler's step from here arrives at a level, (B, C, H, W)."""
    return here.combined(x0=level.alpha, eps=level.sigma)
