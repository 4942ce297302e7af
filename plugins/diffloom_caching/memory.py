"""A network whose inside is remembered from level to level. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import Network


@dataclass(frozen=True)
class Known:
    """What the inside computed last."""

    t: float
    """At this time."""
    stretch: int
    feature_BCHW: Tensor


class RememberingNetwork:
    """The network for one walk under one condition.

    A call belongs to the last of the walk's levels that is not cleaner than it. Calls of the levels in `whole` compute
    everything; the others, up to the next such level, take the inside from the last that did. So it is the time that
    decides, never how often the network was called: both evaluations of a step of second order are treated as their
    levels are, a condition that is left out for some levels never returns to features from before them, and samplers
    that go back up beyond what is known compute anew.
    """

    def __init__(
        self, network: nn.Module, *, depth: int, times: Sequence[float], whole: Collection[int]
    ) -> None:
        self._network = network
        self._depth = depth
        self._rising = [-t for t in times]  # as bisection wants them
        self._whole = [index in whole for index in range(len(times))]
        self._stretch = list(accumulate(self._whole))
        self._known: Known | None = None

    def at(self, t: float) -> Network:
        """The network at this time."""
        return partial(self._output, t)

    def _output(self, t: float, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        output: Tensor = self._network(
            x_BCHW, t_B, condition, deep=Now(self._depth, partial(self._feature, t))
        )
        return output

    def _feature(self, t: float, inside: Callable[[], Tensor]) -> Tensor:
        level = max(bisect_right(self._rising, -t) - 1, 0)  # churn rises beyond the first
        stretch, known = self._stretch[level], self._known
        if not self._whole[level] and known is not None and known.stretch == stretch and t <= known.t:
            return known.feature_BCHW
        feature_BCHW = inside()
        self._known = Known(t, stretch, feature_BCHW.detach())  # gradients end with the call that computed it
        return feature_BCHW


@dataclass(frozen=True)
class Now:
    """What the network's inside is given at one call (`diffloom.nn.Deep`)."""

    depth: int
    feature: Callable[[Callable[[], Tensor]], Tensor]

    def __call__(self, inside: Callable[[], Tensor]) -> Tensor:
        """The feature of this time."""
        return self.feature(inside)
