"""Sampling without its numbers: what it takes of memory, and how often it calls the network.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any, Self

import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.config.document import Sampling
from diffloom.inference import Precision, ReadyNetwork
from diffloom.inference.gains import gains
from diffloom.pipeline import Pipeline
from diffloom.planning.hollow import Answers
from diffloom.planning.live_bytes import LiveBytes
from diffloom.request import Request

STEPS = 3
"""Steps that are walked: a solver remembers no more of the past than its first few."""
READY = "ready weights"
"""What is in another type, layout or form to draw by."""


@dataclass(frozen=True)
class Walked:
    """What sampling takes."""

    memory: Mapping[str, int]
    """Bytes on the device at the worst moment, by what they are for."""
    views: float
    """Rows that the network sees for each sample in a call: 2 where guidance compares."""
    precision: Precision
    """What `sampling.precision` is here; `auto` where that is the weights' own type, which no other word names."""


@dataclass(frozen=True)
class _Noted(ReadyNetwork):
    """Notes how many rows it is shown."""

    rows: list[int] = field(default_factory=list)

    def __call__(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        self.rows.append(len(x_BCHW))
        return super().__call__(x_BCHW, t_B, condition)


@dataclass
class _Watched(Pipeline):
    """A pipeline whose networks are made ready as ever, the memory of that told apart, and their calls noted.

    Nothing is hooked into the network itself: such a one would not be made ready. Nothing is compiled: torch would
    need the numbers.
    """

    live: LiveBytes = field(kw_only=True)
    rows: list[int] = field(default_factory=list)
    precision: Precision = "auto"

    @classmethod
    def over(cls, pipeline: Pipeline, live: LiveBytes) -> Self:
        """The same parts."""
        return cls(**{part.name: getattr(pipeline, part.name) for part in fields(pipeline)}, live=live)

    def ready(self, sampling: Sampling) -> ReadyNetwork:
        with self._named():
            ready = super().ready(sampling.model_copy(update={"compile": False}))
        self.precision = ready.compute.precision
        return _Noted(ready.module, ready.compute, rows=self.rows)

    def ready_space(self) -> ReadyNetwork:
        with self._named():
            return super().ready_space()

    def _named(self) -> AbstractContextManager[None]:
        return self.live.naming(READY)


def walked(pipeline: Pipeline, *, count: int, conditions: Mapping[str, Any], live: LiveBytes) -> Walked:
    """Draw `count` samples of one condition with hollow weights, as `Pipeline.sample` would: encoded, walked, decoded.

    `live` knows already what lies beside it.
    """
    watched = _Watched.over(pipeline, live)
    gains(pipeline.device)  # measured now where they were not yet: that takes memory of its own
    given = {key: [value] * count for key, value in conditions.items()}
    try:
        with torch.no_grad(), Answers(), live:
            live.begin_anew()
            plan = Request(count=count, conditions=given).plan(watched)
            for step in islice(plan.stream(), STEPS):
                arrived_BCHW = step.following_BCHW
            watched.decode(arrived_BCHW)
    finally:
        watched.forget_ready()
    return Walked(dict(live.peak), max(watched.rows) / count, watched.precision)
