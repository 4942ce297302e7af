"""DPM-Solver++ for the reverse SDE, multistep (Lu et al. 2022b, section 5; k-diffusion)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from diffloom.process import Level, exponential_integrals
from diffloom_sde.multistep import Multistep

SecondOrder = Literal["midpoint", "heun"]
ThirdOrder = Literal["taylor", "published"]


class DPMpp2MSDE(Multistep):
    """SDE-DPM-Solver++(2M): a line through the last two x₀.

    With `midpoint`, as the paper and k-diffusion have it, the line is read halfway in λ; with `heun` it is integrated
    exactly.
    """

    reach = 1

    def __init__(
        self, *, eta: float = 1.0, s_noise: float = 1.0, solver_type: SecondOrder = "midpoint"
    ) -> None:
        super().__init__(eta=eta, s_noise=s_noise)
        self.solver_type = solver_type

    def correction(self, known: Sequence[float], next_level: Level) -> Sequence[float]:
        """Of the x₀ before this one."""
        if self.solver_type == "heun":
            return _exact(known, next_level, self.eta)
        newest, older = known
        h = next_level.half_log_snr - newest
        # Lu et al. 2022b, algorithm 4, its 1/(2r) with r = (newest − older)/h
        return (next_level.alpha * math.expm1(-(1 + self.eta) * h) * h / (2 * (newest - older)),)


class DPMpp3MSDE(Multistep):
    """SDE-DPM-Solver++(3M): a parabola through the last three x₀, a line while there are two.

    With `taylor` it is integrated exactly. With `published`, k-diffusion's `sample_dpmpp_3m_sde`, its square term
    counts half, so that without noise the order is 2.
    """

    reach = 2

    def __init__(self, *, eta: float = 1.0, s_noise: float = 1.0, solver_type: ThirdOrder = "taylor") -> None:
        super().__init__(eta=eta, s_noise=s_noise)
        self.solver_type = solver_type

    def correction(self, known: Sequence[float], next_level: Level) -> Sequence[float]:
        """Of the one or two x₀ before this one."""
        whole = _exact(known, next_level, self.eta)
        if self.solver_type == "taylor" or len(known) == 2:
            return whole
        halves = _square_terms(known, next_level, self.eta)
        return tuple(part - square / 2 for part, square in zip(whole, halves, strict=True))


def _exact(known: Sequence[float], next_level: Level, eta: float) -> tuple[float, ...]:
    """The polynomial through all that is known, integrated."""
    _, *rest = exponential_integrals(known, start=known[0], end=next_level.half_log_snr, rate=eta)
    return tuple(next_level.alpha * part for part in rest)


def _square_terms(known: Sequence[float], next_level: Level, eta: float) -> tuple[float, float]:
    """What the s² of the parabola a + b·s + c·s² in s = λ − known[0] adds to the two weights."""
    h, power = next_level.half_log_snr - known[0], 1 + eta
    line = h + math.expm1(-power * h) / power  # ∫ power·e^(power·(s − h))·s ds
    square = h * h - 2 * line / power  # the same of s²
    one, two = known[0] - known[1], known[0] - known[2]
    return (
        next_level.alpha * square / (one * (one - two)),
        next_level.alpha * square / (two * (two - one)),
    )
