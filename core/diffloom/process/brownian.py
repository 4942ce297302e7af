"""Brownian paths that are functions of their keys: any point, in any order, without the points between.

A virtual Brownian tree (Li et al. 2020, section 4 and algorithm 3). Its clock is the signal-to-noise ratio
q = alpha²/sigma², because with u = alpha/sigma²·x_t the reverse SDE is du = E[x₀ | x_t] dq + dW(q), which starts at
u = 0 where q = 0. Halving goes by log q, as the steps of walks do.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from diffloom.process.noise import Draws

REACH = 128.0
"""The tree spans log q from −REACH to REACH: sigma/alpha from 6·10²⁷ to 2·10⁻²⁸. The table `sqrt` reaches 6·10²¹."""
DEPTH = 22
"""Halvings: points of the tree lie 2·REACH/2^DEPTH = 6·10⁻⁵ apart in log q."""
REMEMBERED = 3
"""Values of a path that are kept: both ends of a step, and a point between."""
LAST = 2**DEPTH
"""Number of the cleanest point; 0 is pure noise."""


@dataclass(frozen=True)
class Point:
    """A point of time that the tree has."""

    number: int

    @classmethod
    def nearest(cls, log_snr: float) -> Point:
        """The point nearest to a log-SNR; whatever is noisier than the tree reaches is pure noise."""
        if log_snr > REACH:
            raise ValueError(
                f"a log-SNR of {log_snr:g} is beyond the Brownian path, which ends at {REACH:g}: end at the clean level"
            )
        share = (max(log_snr, -REACH) + REACH) / (2 * REACH)
        return cls(round(share * LAST))

    @property
    def q(self) -> float:
        """The signal-to-noise ratio."""
        return 0.0 if self.number == 0 else math.exp(2 * REACH * self.number / LAST - REACH)


@dataclass
class BrownianTree:
    """The paths W(q) of the samples that `draws` names, one for each pixel, W(0) = 0.

    A value costs at most DEPTH + 1 draws for each pixel, one for each halving on the way to it; the last three values
    are remembered, since walks ask for stretches end to end, and may look between their ends. Computed in float64 on
    the CPU, whatever the walk's type is, by numpy: in a thread beside the network's, torch would start threads more.
    """

    draws: Draws
    shape: tuple[int, ...]
    """(C, H, W)."""
    _known: dict[Point, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def increment(self, start: Point, end: Point) -> Tensor:
        """(W(end) − W(start)) / √(q_end − q_start), (B, C, H, W): standard normal."""
        if not start.q < end.q:
            raise ValueError(
                "two levels are one point of the Brownian path: levels must be at least "
                f"{2 * REACH / LAST:.1g} apart in log-SNR; take fewer steps"
            )
        for point in (start, end):
            value = self._known.pop(point) if point in self._known else self._value(point)
            self._known[point] = value  # the latest last
        self._known = dict(list(self._known.items())[-REMEMBERED:])
        return torch.from_numpy((self._known[end] - self._known[start]) / math.sqrt(end.q - start.q))

    def _value(self, point: Point) -> np.ndarray:
        """W at a point, by halving the stretch that holds it."""
        low, high = Point(0), Point(LAST)
        w_low, w_high = np.zeros(self._batch), self._fresh(high) * math.sqrt(high.q)
        while point not in (low, high):
            middle = Point((low.number + high.number) // 2)
            share = (middle.q - low.q) / (high.q - low.q)
            spread = math.sqrt((middle.q - low.q) * (1 - share))
            w_middle = w_low + share * (w_high - w_low) + spread * self._fresh(middle)  # Brownian bridge
            if point.number < middle.number:
                high, w_high = middle, w_middle
            else:
                low, w_low = middle, w_middle
        return w_low if point == low else w_high

    def _fresh(self, point: Point) -> np.ndarray:
        """The normal noise of a point, the same for whoever comes by."""
        return self.draws.at(point.number).normal("path", self.shape, dtype=torch.float64).numpy()

    @property
    def _batch(self) -> tuple[int, ...]:
        return (len(self.draws.keys), *self.shape)
