"""A ready network on one walk. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from diffloom.building import built
from diffloom.condition import Condition
from diffloom.inference.ready import ReadyNetwork
from diffloom.kinds import Caching, Remembering


class WalkNetwork:
    """What it computes of conditions and times is computed once, and what `caching` remembers is remembered: for each
    condition by itself, from the moment it is known.
    """

    def __init__(
        self, ready: ReadyNetwork, *, times: Sequence[float], caching: Caching | None = None
    ) -> None:
        self._ready = ready
        self._times = tuple(times)
        self._caching = caching
        self.t = math.nan
        """The time of the next call, all of its t_B: said beforehand, so that nobody reads it from the device."""
        self._remembering: dict[int, tuple[Condition, Remembering]] = {}
        """By the identity of the condition, which is kept so that no other can have it."""

    def prepare(self, condition: Condition) -> Condition:
        """The condition to call with from now on.

        Raises ConfigError where the network has nothing to leave out.
        """
        known = self._ready.prepare(condition, self._times)
        if self._caching is None:
            return known
        known = replace(known)  # the same condition, prepared twice, is remembered twice
        remembering = built(
            "sampling.caching", self._caching.build, network=self._ready.module, times=self._times
        )
        self._remembering[id(known)] = (known, remembering)
        return known

    def __call__(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        """The network's output at `t` under a condition that was prepared."""
        ready = self._ready
        if self._caching is not None:
            _, remembering = self._remembering[id(condition)]
            ready = replace(ready, instead=remembering.at(self.t))
        return ready(x_BCHW, t_B, replace(condition, time=self.t))
