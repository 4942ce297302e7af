"""Sampling without its numbers: what it takes of memory, and how often it calls the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import nn

from diffloom.pipeline import Pipeline
from diffloom.planning.hollow import Answers
from diffloom.planning.live_bytes import LiveBytes
from diffloom.request import Request

STEPS = 3
"""Steps that are walked: a solver remembers no more of the past than its first few."""


@dataclass(frozen=True)
class Walked:
    """What sampling takes."""

    memory: Mapping[str, int]
    """Bytes on the device at the worst moment, by what they are for."""
    views: float
    """Rows that the network sees for each sample in a call: 2 where guidance compares."""


def walked(pipeline: Pipeline, *, count: int, conditions: Mapping[str, Any], live: LiveBytes) -> Walked:
    """Draw `count` samples of one condition with hollow weights, as `Pipeline.sample` would: encoded, walked, decoded.

    `live` knows already what lies beside it.
    """
    rows: list[int] = []

    def note(network: nn.Module, args: tuple[Any, ...]) -> None:
        rows.append(len(args[0]))

    handle = pipeline.backbone.register_forward_pre_hook(note)
    given = {key: [value] * count for key, value in conditions.items()}
    try:
        with torch.no_grad(), Answers(), live:
            live.begin_anew()
            plan = Request(count=count, conditions=given).plan(pipeline)
            for step in islice(plan.stream(), STEPS):
                arrived_BCHW = step.following_BCHW
            pipeline.decode(arrived_BCHW)
    finally:
        handle.remove()
    return Walked(dict(live.peak), max(rows) / count)
