"""What a run trains: its weights, its loss, its pictures. The loop knows nothing else of it.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from PIL.Image import Image
from torch import Tensor, nn

from diffloom.kinds import TimeAxis
from diffloom.process import Draws, Step
from diffloom.training.feed import Batch


@dataclass(frozen=True)
class Losses:
    """What a batch costs."""

    each_B: Tensor
    """What is minimised: one number for each example."""
    figures: Mapping[str, Tensor] = field(default_factory=dict)
    """Scalars without a gradient, by name: the rows of metrics hold their means beside the loss."""
    t_B: Tensor | None = None
    """The time that each example was shown at, in the schedule's own times, where there is a schedule."""


class Task(Protocol):
    """A model and how it is trained."""

    @property
    def module(self) -> nn.ModuleDict:
        """All that has weights, by the name of its part. Weights that require gradients are trained."""
        ...

    @property
    def beside(self) -> nn.ModuleDict:
        """What is trained beside the model and is no part of it: kept in checkpoints to go on, not read to sample."""
        ...

    @property
    def frozen(self) -> frozenset[str]:
        """The parts that training uses and leaves as they are, their buffers included."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    @property
    def conditions(self) -> tuple[str, ...]:
        """What it reads of an example beside its picture."""
        ...

    @property
    def axis(self) -> TimeAxis | None:
        """The times of its schedule, where it has one."""
        ...

    def losses(self, batch: Batch, draws: Draws, *, step: int) -> Losses:
        """The loss of a batch with its gradient; `draws` are keyed by the examples' positions, `step` counts from 1.

        Nothing that it computes may depend on how the examples are split into batches, but where a paper asks for it.
        """
        ...

    def observe(self, draws: Draws, each_B: Tensor) -> None:
        """Hear what the examples of an optimiser step cost, after it: all of them, however they were split."""
        ...

    def preview(self, on_step: Callable[[Step], None]) -> tuple[Image, dict[str, Any]]:
        """A sheet of pictures that shows what was learned, the same ones each time, and its recipe.

        `on_step` is told of each step of a long walk, and cancels it by raising.
        """
        ...


def freeze(task: Task) -> None:
    """Switch the gradients of a task's frozen parts off."""
    for part in task.frozen:
        task.module[part].requires_grad_(False)
