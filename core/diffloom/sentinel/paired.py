"""Two costs of the same examples. Legend: B batch."""

from __future__ import annotations

import math

from torch import Tensor


class Paired:
    """By how much one cost lies above another, over all examples seen.

    Of each example it is the difference over the sum, in [−1, 1]: examples count alike whatever their noise level, and
    none is costly enough to drown the others. Where the two are equally likely the other way round its mean is 0.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0.0
        self._squares = 0.0

    def add(self, one_B: Tensor, other_B: Tensor) -> None:
        """Take in a batch: positive where `one` costs more. Pairs that both cost nothing are equal."""
        total_B = one_B.double().abs() + other_B.double().abs()
        share_B = ((one_B.double() - other_B.double()) / total_B).nan_to_num(0.0).cpu()
        self.count += len(share_B)
        self._sum += float(share_B.sum())
        self._squares += float(share_B.square().sum())

    @property
    def mean(self) -> float:
        """The mean share."""
        return self._sum / self.count

    @property
    def error(self) -> float:
        """Its standard error; infinite of fewer than two."""
        if self.count < 2:
            return math.inf
        spread = max(self._squares - self.count * self.mean**2, 0.0) / (self.count - 1)
        return math.sqrt(spread / self.count)
