"""What grows, what it costs at each size, and the law that the costs follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import linear_regression, mean

NEAR = 0.15
"""How far an exponent may be from a whole number that it is told as."""
LAWS = {0: "does not grow", 1: "grows in proportion", 2: "grows as the square"}


@dataclass(frozen=True)
class Cost:
    """Of one size."""

    seconds: float
    """CPU time."""
    mib: float | None
    """Memory at most; None where the system does not say."""


@dataclass(frozen=True)
class Growth:
    """One thing that becomes larger."""

    axis: str
    """What it is, as an axis is called."""
    work: str
    """What is done."""
    sizes: Sequence[int]
    cost: Callable[[int], Cost]
    reason: str
    """Why it grows so: what of the work depends on the size, and what does not."""


@dataclass(frozen=True)
class Law:
    """Exponents of a power law y ~ x^e; beside them the line y = fixed + each·x."""

    overall: float
    """By least squares over the logarithms of all sizes."""
    end: float
    """Between the two largest sizes, where a fixed part counts least."""
    fixed: float
    """By least squares over all sizes, as `each`."""
    each: float
    rise: float
    """Of that line over all sizes, as a share of the mean cost."""

    @classmethod
    def of(cls, sizes: Sequence[int], costs: Sequence[float]) -> Law:
        """The law of these costs, at least two and all above zero."""
        x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
        mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
        overall = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum(
            (a - mean_x) ** 2 for a in x
        )
        *_, (x0, x1) = pairwise(x)
        *_, (y0, y1) = pairwise(y)
        line = linear_regression(sizes, costs)
        rise = line.slope * (sizes[-1] - sizes[0]) / mean(costs)
        return cls(overall, (y1 - y0) / (x1 - x0), line.intercept, line.slope, rise)

    @property
    def is_line(self) -> bool:
        """Whether a fixed part is so large that no power tells the law."""
        return NEAR < self.end < 1 - NEAR and self.fixed > 0 and not self.is_flat

    @property
    def is_flat(self) -> bool:
        """Whether it does not grow, whatever the last two sizes happened to cost; nothing costs less for being more."""
        return self.rise <= NEAR

    def __str__(self) -> str:
        words = LAWS[0] if self.is_flat else in_words(self.end)
        return f"{words} (exponent {self.end:.2f} at the end, {self.overall:.2f} over all)"

    def of_seconds(self) -> str:
        """The law of times, with the line where that is the law."""
        if not self.is_line:
            return str(self)
        return (
            f"is {self.fixed:.2g} s and {1000 * self.each:.2g} ms for each (exponent {self.end:.2f} at the end, "
            f"{self.overall:.2f} over all)"
        )

    def in_short(self) -> str:
        """For a panel, where n is what grows."""
        if self.is_flat or in_words(self.end) == LAWS[0]:
            return "constant"
        if self.is_line:
            return f"{self.fixed:.2g} + {self.each:.2g} n"
        return f"~ n^{self.end:.2g}"


def in_words(exponent: float) -> str:
    """A power law as one says it."""
    whole = round(exponent)
    if whole in LAWS and abs(exponent - whole) <= NEAR:
        return LAWS[whole]
    if exponent < 0:
        return "falls"
    if exponent < 1:
        return "grows more slowly than in proportion"
    return "grows faster than in proportion" if exponent < 2 else "grows faster than the square"
