"""One model's samples by many samplers, all from the same noise.

Legend: B samples, D numbers in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from diffloom.kinds import Sampler
from diffloom.pipeline import Pipeline
from diffloom.request import Request


@dataclass(frozen=True)
class Run:
    """All samples of one sampler at one number of steps."""

    sampler: Sampler
    steps: int
    calls: float
    """Network calls for one batch: counted, not computed."""
    samples_BD: Tensor
    """float32, on the CPU."""

    @property
    def is_finite(self) -> bool:
        """Whether the walk arrived anywhere."""
        return bool(self.samples_BD.isfinite().all())


@dataclass(frozen=True)
class Contest:
    """What every sampler is asked to draw."""

    pipeline: Pipeline
    asked: Mapping[str, Any]
    """Arguments of `diffloom.request.Request` that are the same for all: count, seed, guidance, conditions, …"""
    batch_size: int

    def run(self, sampler: Sampler, *, steps: int, spacing: str | None = None) -> Run:
        """Draw them all. Raises ValueError where the sampler cannot honour the levels."""
        asked = {**self.asked, **({} if spacing is None else {"spacing": spacing})}
        plan = Request(sampler=sampler, steps=steps, **asked).plan(self.pipeline)
        finals, batches = [], 0
        # The pipeline's own network, watched by a hook, would be used without its faster forms.
        drawing = self.pipeline.ready(plan.section).module
        with counted_calls(drawing) as calls:
            for part in plan.batches(self.batch_size):
                *_, last = part.stream()
                finals.append(last.following_BCHW.float().flatten(1).cpu())
                batches += 1
        return Run(sampler, steps, calls() / batches, torch.cat(finals))


@contextmanager
def counted_calls(network: nn.Module) -> Iterator[Callable[[], int]]:
    """Within, the calls of a network are counted; yields what tells their number."""
    count = 0

    def one_more(*_: object) -> None:
        nonlocal count
        count += 1

    handle = network.register_forward_hook(one_more)
    try:
        yield lambda: count
    finally:
        handle.remove()
