"""Whether the network heeds its conditions, and whether they tell it anything.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.conditioning import Conditioning
from diffloom.sentinel.finding import Alarm
from diffloom.sentinel.look import Look
from diffloom.sentinel.paired import Paired
from diffloom.training.diffusion import DiffusionTask

DEAF = 1e-6
"""Change of the network's output, as a share of its size, below which it does not heed a condition: it is rounding."""
TWICE = 2
"""Looks in a row that must agree: what a network begins with may be zero on purpose."""
FEWEST = 100
"""Examples that are compared before anything is said of what conditions tell."""
USEFUL, ERRORS = 0.01, 3.0
"""By how much wrong conditions must cost more than true ones (`Paired`) to tell anything; and the standard errors
within which this is known. A condition that tells so much is called useless at one judgement of a thousand."""
BEGINNING, FIRST_STEP = 0.25, 200
"""Share of the run, and steps, in which a network may still have to learn what its conditions mean."""


@dataclass
class _Heard:
    """What is known of one conditioner."""

    cost_of_wrong: list[tuple[int, Paired]] = field(default_factory=list)
    """At each look: its step, and by how much wrong conditions cost more than true ones."""
    changes: list[float] = field(default_factory=list)
    """How far the output moved with the condition, at each look."""


@dataclass(frozen=True)
class _Answer:
    each_B: Tensor
    output_BCHW: Tensor


class Conditions:
    """Watches the conditioners of one diffusion model.

    The same examples with the same noise at the same times are shown with their true conditions, with those of one
    conditioner exchanged among them, and with the null condition.
    """

    def __init__(self, task: DiffusionTask) -> None:
        self._task = task
        self._heard = {name: _Heard() for name in task.conditions}

    @torch.no_grad()
    def look(self, look: Look) -> dict[str, float]:
        """Compare, and take note; returns what this look alone shows, as figures for a row.

        `condition_gain` (of several conditioners with their names) is by how much wrong conditions cost more than
        true ones, `null_gap` by how much the null condition does.
        """
        conditioning = self._task.pipeline.conditioning
        raw = look.batch.raw
        if not self._heard:
            return {}
        parts = {name: _encoded(conditioning, name, raw[name], look) for name in self._heard}
        true = self._answer(look, parts)
        figures = {}
        for name, heard in self._heard.items():
            wrong = _encoded(conditioning, name, exchanged(look, name), look)
            rows = differing(parts[name], wrong)
            if not len(rows):
                continue
            answer = self._answer(look, {**parts, name: wrong})
            change_BCHW = (answer.output_BCHW - true.output_BCHW)[rows]
            size = float(true.output_BCHW[rows].double().square().mean().sqrt())
            heard.changes.append(float(change_BCHW.double().square().mean().sqrt()) / size if size else 0.0)
            now = Paired.of(answer.each_B[rows], true.each_B[rows])
            heard.cost_of_wrong.append((look.step, now))
            figures["condition_gain" if len(self._heard) == 1 else f"condition_gain_{name}"] = now.mean
        droppable = {name for name, config in conditioning.configs.items() if config.dropout > 0}
        if droppable:
            count = len(look.batch.positions)
            nulls = {name: _encoded(conditioning, name, [None] * count, look) for name in droppable}
            figures["null_gap"] = Paired.of(self._answer(look, {**parts, **nulls}).each_B, true.each_B).mean
        return figures

    def judged(self, look: Look) -> Iterator[Alarm]:
        """What the looks so far show."""
        for name, heard in self._heard.items():
            place = f"conditioners.{name}"
            if len(heard.changes) >= TWICE and max(heard.changes[-TWICE:]) < DEAF:
                yield Alarm(
                    "condition-ignored",
                    f"{place}: the network's output changes by {heard.changes[-1]:.1g} of its size when {name} is "
                    "exchanged for another example's: it does not read it; look at the backbone's keys that take such "
                    "conditions in",
                    figure=1.0,
                    about=name,
                )
                continue
            # What it knew in the first half of the run so far is no evidence of what it knows now.
            paired = sum((now for step, now in heard.cost_of_wrong if 2 * step > look.step), Paired())
            if self._may_judge(name, look) and tells_nothing(paired):
                yield Alarm(
                    "condition-uninformative",
                    f"{place}: on {paired.count} examples another example's {name} costs {200 * paired.mean:.1f} ± "
                    f"{200 * paired.error:.1f} % more than their own, though the network heeds it: it tells nothing of "
                    f"the picture; look whether {name} and pictures are those of the same examples",
                    figure=1.0,
                    about=name,
                )

    def _may_judge(self, name: str, look: Look) -> bool:
        """Whether a condition should tell something by now. One that is never dropped beside others (a size, a mask)
        may tell little in a sound model: guidance does not need it."""
        counts = self._task.pipeline.conditioning.configs[name].dropout > 0 or len(self._heard) == 1
        return counts and look.share >= BEGINNING and look.step >= FIRST_STEP

    def _answer(self, look: Look, parts: Mapping[str, Condition]) -> _Answer:
        """The objective's loss, and what the network said last, under these conditions."""
        task, draws = self._task, look.draws
        pipeline = task.pipeline
        condition = Condition.join(list(parts.values()))
        said: list[Tensor] = []

        def network(x_t_BCHW: Tensor, t_B: Tensor) -> Tensor:
            with look.engine.autocast():
                output = pipeline.network(x_t_BCHW, t_B, condition)
            said.append(output.to(x_t_BCHW.dtype))
            return said[-1]

        each_B = task.loss(network, task.x0(look.batch, draws), process=pipeline.process, draws=draws)
        return _Answer(each_B, said[-1])


def tells_nothing(cost_of_wrong: Paired) -> bool:
    """Whether conditions of which wrong ones cost so much more are known to be useless."""
    return cost_of_wrong.count >= FEWEST and cost_of_wrong.mean + ERRORS * cost_of_wrong.error < USEFUL


def exchanged(look: Look, name: str) -> list[Any]:
    """For each example looked at, the raw condition of another one of its step, as far from it as can be."""
    there = [value for batch in look.passes for value in batch.raw[name]]
    shift = max(len(there) // 2, 1)
    return [there[(row + shift) % len(there)] for row in range(len(look.batch.positions))]


def differing(one: Condition, other: Condition) -> list[int]:
    """The rows in which two conditions differ; those with tokens of another number all do."""
    mine, theirs = one.filled(), other.filled()
    count = len(next(iter(mine.values())))
    if any(mine[name].shape != theirs[name].shape for name in mine):
        return list(range(count))
    return [row for row in range(count) if any(not mine[name][row].equal(theirs[name][row]) for name in mine)]


def _encoded(conditioning: Conditioning, name: str, values: Sequence[Any], look: Look) -> Condition:
    """One conditioner's part; None stands for its null condition."""
    config, encoder = conditioning.configs[name], conditioning.encoders[name]
    checked = [None if value is None else config.check(value) for value in values]
    alone = Conditioning({name: config}, {name: encoder}, conditioning.setting)
    with look.engine.autocast():
        return alone.encode({name: checked}, device=look.task.device)
