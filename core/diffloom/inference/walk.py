"""A ready network on one walk. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from diffloom.building import built
from diffloom.condition import Condition
from diffloom.inference.compute import own_device
from diffloom.inference.observed import is_observed
from diffloom.inference.ready import ReadyNetwork
from diffloom.kinds import Caching, Remembering
from diffloom.nn.shares import in_shares, shares

IDLE = 1.25
"""How much longer a batch in shares may take for threads that have a row less than others."""
USED = 2
"""Of weights times pixels, a U-Net multiplies one in so many at most: most weights see fewer pixels. By this measure
one of 18 million weights gained from one row of 32×32 for each thread on.
"""


@dataclass(frozen=True)
class _Share:
    """Some of a condition's rows, and what is remembered of them."""

    condition: Condition
    remembering: Remembering | None


class WalkNetwork:
    """What it computes of conditions and times is computed once, and what `caching` remembers is remembered: for each
    condition by itself, from the moment it is known.

    On a CPU every thread computes some rows through the whole network, where there are enough of them and of its
    `pixels`, H·W: it need not wait for the others but once in a call.
    """

    def __init__(
        self,
        ready: ReadyNetwork,
        *,
        times: Sequence[float],
        pixels: int,
        caching: Caching | None = None,
    ) -> None:
        self._ready = ready
        self._times = tuple(times)
        self._caching = caching
        self.t = math.nan
        """The time of the next call, all of its t_B: said beforehand, so that nobody reads it from the device."""
        self._divides = (
            own_device(ready.module).type == "cpu"
            and ready.compute.compiled == "not"
            and not is_observed(ready.module)
        )
        weights = sum(weight.numel() for weight in ready.module.parameters())
        self._multiplications = pixels * weights // USED
        self._shares: dict[int, tuple[Condition, bool, list[_Share]]] = {}
        """By the identity of the condition, which is kept so that no other can have it: whether it has rows of its own,
        and its shares."""

    def prepare(self, condition: Condition) -> Condition:
        """The condition to call with from now on.

        Raises ConfigError where the network has nothing to leave out.
        """
        asked = replace(condition)  # the same condition, prepared twice, is remembered twice
        rows = condition.rows
        parts = [condition] if rows is None else condition.divided(self._count(rows))
        self._shares[id(asked)] = (asked, rows is not None, [self._share(part) for part in parts])
        return asked

    def _share(self, part: Condition) -> _Share:
        return _Share(self._ready.prepare(part, self._times), self._remembering())

    def _remembering(self) -> Remembering | None:
        if self._caching is None:
            return None
        return built("sampling.caching", self._caching.build, network=self._ready.module, times=self._times)

    def _count(self, rows: int) -> int:
        """In how many shares so many rows are computed."""
        threads = shares(multiplications=self._multiplications * rows) if self._divides else 1
        return threads if -(-rows // threads) * threads <= IDLE * rows else 1

    def __call__(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        """The network's output at `t` under a condition that was prepared."""
        known = self._known(condition, len(x_BCHW))
        if len(known) == 1:
            return self._output(x_BCHW, t_B, known[0])
        parts = len(known)
        given = list(zip(x_BCHW.tensor_split(parts), t_B.tensor_split(parts), known, strict=True))
        outputs = in_shares(lambda some: [self._output(*part) for part in some], given)
        return torch.cat([*chain.from_iterable(outputs)])

    def _known(self, condition: Condition, rows: int) -> list[_Share]:
        """The condition's shares for so many rows: where it has none of its own, as many as they are divided in."""
        _, has_rows, known = self._shares[id(condition)]
        if has_rows:
            return known
        count = self._count(rows)
        known += [_Share(known[0].condition, self._remembering()) for _ in range(count - len(known))]
        return known[:count]

    def _output(self, x_BCHW: Tensor, t_B: Tensor, share: _Share) -> Tensor:
        ready = self._ready
        if share.remembering is not None:
            ready = replace(ready, instead=share.remembering.at(self.t))
        return ready(x_BCHW, t_B, share.condition.at(self.t))
