"""How often conditions are dropped, counted in what the network is shown. Legend: B batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from diffloom.conditioning import Conditioning
from diffloom.sentinel.conditions import differing
from diffloom.sentinel.finding import Alarm
from diffloom.sentinel.look import Look
from diffloom.training.diffusion import DiffusionTask

DUE = 15.0
"""Examples that should have been dropped, or kept, by now before it is said that none is: by chance that happens once
in e¹⁵ = 3 million."""


@dataclass
class _Seen:
    """What was counted of one conditioner, of the examples that had a condition to drop."""

    examples: int = 0
    dropped: int = 0


class Dropping:
    """Watches the dropout of one model's conditioners."""

    def __init__(self, task: DiffusionTask) -> None:
        self._task = task
        self._seen = {name: _Seen() for name in task.conditions}

    @torch.no_grad()
    def look(self, look: Look) -> dict[str, float]:
        """Count how many examples are shown the null condition in place of their own, as the training does it."""
        whole = self._task.pipeline.conditioning
        for name, seen in self._seen.items():
            alone = Conditioning({name: whole.configs[name]}, {name: whole.encoders[name]}, whole.setting)
            raw, device = {name: look.batch.raw[name]}, look.task.device
            count = len(raw[name])
            with look.engine.autocast():
                shown = alone.encode_for_training(raw, look.draws, device=device)
                null = alone.encode({name: [None] * count}, device=device)
                own = alone.encode(
                    {name: [whole.configs[name].check(value) for value in raw[name]]}, device=device
                )
            with_own = set(differing(own, null))
            seen.examples += len(with_own)
            seen.dropped += len(with_own - set(differing(shown, null)))
        return {}

    def judged(self, look: Look) -> Iterator[Alarm]:
        """What was counted so far against what the configuration says."""
        document = self._task.pipeline.document
        guidance = document.sampling.guidance
        is_guided = guidance is not None and guidance.compares and not guidance.neutral
        rates = {name: config.dropout for name, config in document.conditioners.items()}
        for name, seen in self._seen.items():
            place, rate = f"conditioners.{name}", rates[name]
            is_due = seen.examples * rate > DUE or (is_guided and not any(rates.values()))
            if seen.examples and is_due and not seen.dropped:
                yield Alarm(
                    "never-dropped",
                    f"{place}: the network was shown {name} in all of {seen.examples} examples, where {place}.dropout "
                    f"is {rate:g}: it never learns the null condition, from which guidance leads away; set "
                    f"{place}.dropout to 0.1 where it is 0, and otherwise look at what applies it",
                    figure=1.0,
                    about=name,
                )
            elif seen.examples * (1 - rate) > DUE and seen.dropped == seen.examples:
                yield Alarm(
                    "always-dropped",
                    f"{place}: the network was shown {name} in none of {seen.examples} examples, where "
                    f"{place}.dropout is {rate:g}; look at what applies it",
                    figure=1.0,
                    about=name,
                )
