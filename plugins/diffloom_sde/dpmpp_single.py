"""DPM-Solver++ for the reverse SDE, one step with a look ahead. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Stepper, Term, summed
from diffloom_sde.stride import Stride, kept_at_the_end


@dataclass(frozen=True, slots=True)
class Look:
    """The call within a step."""

    level: Level
    stride: Stride
    """From where the step begins to that level."""
    share: float
    """What its x₀ counts; that of the first call is the rest."""


class DPMppSDE(Stepper):
    """SDE-DPM-Solver++(2S) as k-diffusion has it, `sample_dpmpp_sde`: two calls a step, one into the clean level.

    The first call's x₀ leads, with its own fresh noise, to a level on the way; a mix of both leads all the way. Both
    stretches take their noise from one Brownian path.
    """

    def __init__(self, *, eta: float = 1.0, s_noise: float = 1.0, r: float = 0.5) -> None:
        """`eta` in [0, 1], 0 the probability flow; `r` in (0, 1] is how far ahead it looks, as a share of the step."""
        self.eta = eta
        self.s_noise = s_noise
        self.r = r

    def begin(self, course: Course) -> Move:
        """The step."""
        pairs = list(pairwise(course.levels))
        strides = [self._stride(*pair) for pair in pairs]
        looks = [self._look(course, *pair) for pair in pairs]

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            (level, next_level), stride, look = pairs[index], strides[index], looks[index]
            denoised = course.denoise(x_BCHW, level)
            terms: tuple[Term, ...] = ()
            less = 0.0
            if look is not None:
                x0, eps = look.stride.counts(level)
                way = denoised.terms(x0=x0, eps=eps)
                there = summed((*way, *self._fresh(course, look.stride, level, look.level)))
                less = look.share * stride.gain
                terms = course.denoise(there, look.level).terms(x0=less)
            x0, eps = stride.counts(level, less=less)
            terms += denoised.terms(x0=x0, eps=eps)
            return denoised, summed((*terms, *self._fresh(course, stride, level, next_level)))

        return move

    def _fresh(self, course: Course, stride: Stride, level: Level, next_level: Level) -> tuple[Term, ...]:
        """The noise of a stretch, where it has any."""
        std = self.s_noise * stride.std
        return ((std, course.noise.between(level, next_level)),) if std > 0 else ()

    def _look(self, course: Course, level: Level, next_level: Level) -> Look | None:
        if next_level.is_clean:
            return None
        ahead = next_level if self.r == 1 else course.at(self._log_snr(level, next_level))
        return Look(ahead, self._stride(level, ahead), 1 / (2 * self.r))

    def _log_snr(self, level: Level, next_level: Level) -> float:
        """A share r of the way: in log-SNR, or from pure noise, which is infinitely far, in SNR itself."""
        if level.alpha == 0:
            return next_level.log_snr + math.log(self.r)
        return (1 - self.r) * level.log_snr + self.r * next_level.log_snr

    def _stride(self, level: Level, next_level: Level) -> Stride:
        return Stride.between(level, next_level, kept=kept_at_the_end(level, next_level, self.eta))
