"""Two costs of the same examples. Legend: B batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Paired:
    """By how much one cost lies above another, over all examples seen; `+` joins what was seen.

    Of each example it is the difference over the sum, in [−1, 1]: examples count alike whatever their noise level, and
    none is costly enough to drown the others. Where the two are equally likely the other way round its mean is 0.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, one_B: Tensor, other_B: Tensor) -> Self:
        """Of a batch: positive where `one` costs more. Two that cost nothing are equal."""
        sum_B = one_B.double().abs() + other_B.double().abs()
        share_B = ((one_B.double() - other_B.double()) / sum_B).nan_to_num(0.0)
        return cls(len(share_B), float(share_B.sum()), float(share_B.square().sum()))

    def __add__(self, other: Paired) -> Paired:
        return Paired(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """The mean share; 0 of none."""
        return self.total / self.count if self.count else 0.0

    @property
    def error(self) -> float:
        """Its standard error; infinite of fewer than two."""
        if self.count < 2:
            return math.inf
        spread = max(self.squares - self.count * self.mean**2, 0.0) / (self.count - 1)
        return math.sqrt(spread / self.count)
