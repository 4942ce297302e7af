"""UniPC: a predictor, and a corrector that costs nothing. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper, exponential_integrals, summed
from diffloom_multistep.multistep import first_with_signal, order_at

Increment = Literal["bh1", "bh2"]


class UniPC(Stepper):
    """Unified predictor-corrector, multistep, predicting x₀ (Zhao et al. 2023, section 3).

    What the network says at the level just reached first corrects the step that led there, then predicts the next
    one: one call a step, and one order more than the predictor has. Not corrected are the last step and one from a
    level without signal. Into the clean level the step is of first order.

    `solver_type` is the paper's B(h), h for `bh1` and e^h − 1 for `bh2`. It matters where the paper fixes its weight
    at 1/2 instead of solving for it, in predictors of order 2 and correctors of order 1; elsewhere it cancels.
    """

    def __init__(
        self, *, order: int = 2, solver_type: Increment = "bh2", lower_order_final: bool = True
    ) -> None:
        """`order` is the predictor's; with `lower_order_final` it falls to 1 at the end of every walk."""
        if order < 1:
            raise ValueError(f"the order is at least 1, not {order}")
        self.order = order
        self.solver_type = solver_type
        self.lower_order_final = lower_order_final

    def begin(self, course: Course) -> Move:
        """The step."""
        levels = course.levels
        strides = [self._stride(levels, index) for index in range(len(levels) - 1)]
        past: deque[Tensor] = deque(maxlen=self.order)  # x₀, the newest first
        begun_BCHW: Tensor | None = None  # where the step before began, corrected

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            nonlocal begun_BCHW
            denoised = course.denoise(x_BCHW, levels[index])
            if begun_BCHW is not None and strides[index - 1].corrector:
                x_BCHW = strides[index - 1].corrected(begun_BCHW, past, denoised.x0_BCHW)
            past.appendleft(denoised.x0_BCHW)
            begun_BCHW = x_BCHW
            return denoised, strides[index].predicted(x_BCHW, past)

        return move

    def _stride(self, levels: Sequence[Level], index: int) -> _Stride:
        """The step from levels[index] to the next."""
        since = first_with_signal(levels)
        order = order_at(levels, index, highest=self.order, since=since, low_end=self.lower_order_final)
        current, following = levels[index : index + 2]
        start, end = current.half_log_snr, following.half_log_snr
        before = [levels[index - back].half_log_snr for back in range(1, order)]
        bounded = math.isfinite(end - start)
        predictor = self._predictor(start, end, before) if bounded else ()
        corrector = self._corrector(start, end, before) if bounded else ()
        return _Stride(
            x_t=following.sigma / current.sigma,
            x0=-following.alpha * math.expm1(start - end),
            predictor=tuple(following.alpha * weight for weight in predictor),
            corrector=tuple(following.alpha * weight for weight in corrector),
        )

    def _predictor(self, start: float, end: float, before: list[float]) -> tuple[float, ...]:
        """UniP of the order len(before) + 1, without alpha_s; the weight at order 2 is fixed."""
        if len(before) == 1:
            return (self._half_increment(end - start) * (end - start) / (before[0] - start),)
        return exponential_integrals([start, *before], start=start, end=end)[1:]

    def _corrector(self, start: float, end: float, before: list[float]) -> tuple[float, ...]:
        """UniC of the same order, without alpha_s; the weight at order 1 is fixed."""
        if not before:
            return (self._half_increment(end - start),)
        return exponential_integrals([start, end, *before], start=start, end=end)[1:]

    def _half_increment(self, h: float) -> float:
        """B(h)/2 where x₀ is predicted, the sign of h turned."""
        return h / 2 if self.solver_type == "bh1" else -math.expm1(-h) / 2


@dataclass(frozen=True)
class _Stride:
    """One step from level t to level s: its first order, and what mends that."""

    x_t: float
    """sigma_s/sigma_t."""
    x0: float
    """alpha_s·(1 − e^(−h)), h the step in half-log-SNR."""
    predictor: tuple[float, ...]
    """Of x₀ 1, 2, … steps before t, each less x₀ at t."""
    corrector: tuple[float, ...]
    """Of x₀ at s, then those 1, 2, … steps before t, each less x₀ at t; empty where the step is not corrected."""

    def predicted(self, x_t_BCHW: Tensor, past: Sequence[Tensor]) -> Tensor:
        """x_s, from what is known up to t: `past` begins with x₀ at t."""
        newest, *older = past
        return self._mended(x_t_BCHW, newest, zip(self.predictor, older, strict=False))

    def corrected(self, x_t_BCHW: Tensor, past: Sequence[Tensor], ahead_BCHW: Tensor) -> Tensor:
        """x_s once more, from x₀ at s too."""
        newest, *older = past
        return self._mended(x_t_BCHW, newest, zip(self.corrector, [ahead_BCHW, *older], strict=False))

    def _mended(self, x_t_BCHW: Tensor, newest_BCHW: Tensor, rest: Iterable[tuple[float, Tensor]]) -> Tensor:
        terms = [(weight, x0_BCHW) for weight, x0_BCHW in rest]
        own = self.x0 - math.fsum(weight for weight, _ in terms)
        return summed([(self.x_t, x_t_BCHW), (own, newest_BCHW), *terms])
