"""Steps at which a loss becomes another one, so that it cannot be compared with what it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, cast

from torch import nn

from diffloom.training.reconstruction import ReconstructionTask
from diffloom.training.task import Task


@dataclass(frozen=True)
class Turns:
    """The turns of one task's loss."""

    steps: frozenset[int] = frozenset()
    """Steps at which it gets a further term."""
    game: int | None = None
    """The step from which on its parts play against each other, so that it need not fall."""

    @classmethod
    def of(cls, task: Task) -> Self:
        """An autoencoder's criteria begin one after another; those that learn themselves play against it."""
        if not isinstance(task, ReconstructionTask):
            return cls()
        criteria = task.document.autoencoder.criteria
        judges = zip(criteria, cast(nn.ModuleList, task.module["criteria"]), strict=True)
        games = [
            criterion.start_step
            for criterion, judge in judges
            if any(weight.requires_grad for weight in judge.parameters())
        ]
        later = frozenset(criterion.start_step for criterion in criteria if criterion.start_step > 1)
        return cls(later, min(games, default=None))

    def is_comparable(self, step: int) -> bool:
        """Whether the loss of this step can be compared with that before it."""
        return step not in self.steps and (self.game is None or step < self.game)
