"""DPM-Solver's single steps: the slope at one point or two between the ends.

Legend: B batch, C channels, H height, W width. As in the paper, λ is log(alpha/sigma) and h a step's length in λ, t
and s its start and its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import expm1

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper, summed
from diffloom_samplers.euler import Euler, Look, straight
from diffloom_samplers.fresh_noise import Ancestry, Churn


class DPMSolver2S(Euler):
    """DPM-Solver-2 (Lu et al. 2022, algorithm 1), two calls a step; for r1 = 1/2 it is k-diffusion's `sample_dpm_2`."""

    def __init__(
        self, *, r1: float = 0.5, churn: Churn | None = None, ancestry: Ancestry | None = None
    ) -> None:
        """`r1` in (0, 1): where in λ between the ends the second call is."""
        super().__init__(churn=churn, ancestry=ancestry)
        self.r1 = r1

    def look(self, start: Level, landing: Level, course: Course) -> Look:
        """At a share r1 of the step."""
        h = landing.half_log_snr - start.half_log_snr
        return Look(between(start, landing, self.r1, course), -landing.sigma * expm1(h) / (2 * self.r1))


@dataclass(frozen=True, slots=True)
class _Legs:
    """A step's two points and what counts of the differences of ε there."""

    first: Level
    second: Level
    gain_first: float
    gain_second: float


class DPMSolver3S(Stepper):
    """DPM-Solver-3 (Lu et al. 2022, algorithm 2), three calls a step.

    A step into the clean level, or from pure noise, is Euler's.
    """

    def __init__(self, *, r1: float = 1 / 3, r2: float = 2 / 3) -> None:
        """`r1` < `r2` in (0, 1): where in λ between the ends the second and the third call are."""
        self.r1, self.r2 = r1, r2

    def begin(self, course: Course) -> Move:
        """The step."""
        strides = tuple(pairwise(course.levels))
        legs = [None if t.alpha == 0 or s.is_clean else self._legs(t, s, course) for t, s in strides]

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            level, next_level = strides[index]
            here = course.denoise(x_BCHW, level)
            leg = legs[index]
            if leg is None:
                return here, straight(here, next_level)
            one = course.denoise(straight(here, leg.first), leg.first)
            two = course.denoise(bent(here, leg.second, leg.gain_first, one), leg.second)
            return here, bent(here, next_level, leg.gain_second, two)

        def bent(here: Denoised, level: Level, gain: float, ahead: Denoised) -> Tensor:
            """Euler's step to the level, and `gain` of how much more ε is ahead than here."""
            return summed((*here.terms(x0=level.alpha, eps=level.sigma - gain), *ahead.terms(eps=gain)))

        return move

    def _legs(self, start: Level, end: Level, course: Course) -> _Legs:
        h = end.half_log_snr - start.half_log_snr
        second = between(start, end, self.r2, course)
        bend = expm1(self.r2 * h) / (self.r2 * h) - 1
        return _Legs(
            first=between(start, end, self.r1, course),
            second=second,
            gain_first=-second.sigma * self.r2 / self.r1 * bend,  # algorithm 2, line 6
            gain_second=-end.sigma / self.r2 * (expm1(h) / h - 1),  # line 8
        )


def between(start: Level, end: Level, share: float, course: Course) -> Level:
    """The level at a share of the way, in λ."""
    return course.at(start.log_snr + share * (end.log_snr - start.log_snr))
