"""SA-Solver: stochastic Adams. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper, Term, exponential_integrals, summed
from diffloom_sde.stride import Stride, kept_at_rate


@dataclass(frozen=True)
class Plan:
    """One step, in constants."""

    stride: Stride
    predict: Sequence[float]
    """The weights of the x₀ 1, 2, … steps ago, against the step's own."""
    correct: Sequence[float]
    """The weights, once the end of the step is known, of the x₀ here and before, against that at the end."""


@dataclass(frozen=True)
class Taken:
    """A step that was taken, as far as the corrector needs it."""

    plan: Plan
    base: Sequence[Term]
    """carry·x_t + std·z."""


class SASolver(Stepper):
    """Stochastic Adams solver (Xue et al. 2023, algorithm 1): predict, call, correct what was predicted, go on.

    One call a step: the corrector takes the call that the next step needs anyhow. In steps of order 2 the first moment
    of the exponential integral is (1 + τ²)·h²/2, as in the authors' code, which differs from the exact one by O(h³).
    """

    def __init__(
        self,
        *,
        predictor_order: int = 2,
        corrector_order: int = 2,
        tau: float = 1.0,
        s_min: float = 0.0,
        s_max: float | None = None,
        lower_order_final: bool = True,
    ) -> None:
        """`tau` is τ in steps that begin at sigma/alpha from `s_min` to `s_max`, and 0 in others.

        A `corrector_order` of 0 does not correct.
        """
        self.predictor_order = predictor_order
        self.corrector_order = corrector_order
        self.tau = tau
        self.s_min = s_min
        self.s_max = math.inf if s_max is None else s_max
        self.lower_order_final = lower_order_final

    def begin(self, course: Course) -> Move:
        """The step; all coefficients are computed now."""
        levels = course.levels
        plans = [self._plan(levels, index) for index in range(len(levels) - 1)]
        past: deque[Tensor] = deque(
            maxlen=max(self.predictor_order, self.corrector_order)
        )  # the newest first
        taken: list[Taken] = []

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            level, next_level = levels[index : index + 2]
            denoised, plan = course.denoise(x_BCHW, level), plans[index]
            x0 = denoised.x0_BCHW
            if taken and self.corrector_order > 0:
                last = taken.pop()
                x_BCHW = _arrive(last.base, last.plan.stride, x0, last.plan.correct, past)  # eq. 17
            past.appendleft(x0)
            base: list[Term] = [(plan.stride.carry, x_BCHW)]
            if plan.stride.std > 0:
                base.append((plan.stride.std, course.noise.between(level, next_level)))
            taken.append(Taken(plan, base))
            return denoised, _arrive(base, plan.stride, x0, plan.predict, list(past)[1:])  # eq. 14

        return move

    def _plan(self, levels: Sequence[Level], index: int) -> Plan:
        level, next_level = levels[index : index + 2]
        rate = self.tau**2 if self.s_min <= level.ratio <= self.s_max else 0.0
        stride = Stride.between(level, next_level, kept=kept_at_rate(level, next_level, rate))
        if next_level.is_clean:
            return Plan(stride, (), ())
        known = index + (1 if levels[0].alpha > 0 else 0)  # pure noise has no λ, and does not count
        left = len(levels) - 1 - index if self.lower_order_final else known + 1
        predict = min(self.predictor_order, known, left)
        correct = min(self.corrector_order, known + 1, left + 1)
        places = [levels[index + 1 - back].half_log_snr for back in range(max(predict + 1, correct))]
        return Plan(
            stride=stride,
            predict=_weights(places[1 : predict + 1], level, next_level, rate),
            correct=_weights(places[:correct], level, next_level, rate),
        )


def _arrive(
    base: Sequence[Term], stride: Stride, x0_BCHW: Tensor, against: Sequence[float], others: Sequence[Tensor]
) -> Tensor:
    weighed = list(zip(against, others, strict=False))
    own = stride.gain - math.fsum(weight for weight, _ in weighed)
    return summed([*base, (own, x0_BCHW), *weighed])


def _weights(places: Sequence[float], level: Level, next_level: Level, rate: float) -> tuple[float, ...]:
    """Of all places but the first."""
    if len(places) < 2:
        return ()
    start, end = level.half_log_snr, next_level.half_log_snr
    if len(places) == 2:
        moment = (1 + rate) * (end - start) ** 2 / 2
        whole = -math.expm1(-(1 + rate) * (end - start))
        share = (moment - (places[0] - start) * whole) / (places[1] - places[0])
        return (next_level.alpha * share,)
    _, *rest = exponential_integrals(places, start=start, end=end, rate=rate)
    return tuple(next_level.alpha * part for part in rest)
