"""What a close look has before it: a pass's worth of the examples that a step has just taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from diffloom.config.document import Train
from diffloom.process import Draws
from diffloom.training.engine import Engine
from diffloom.training.feed import Batch
from diffloom.training.state import TrainState
from diffloom.training.task import Losses, Task


@dataclass(frozen=True)
class Look:
    """A close look after a step, from a quiet place."""

    state: TrainState
    engine: Engine
    train: Train
    passes: Sequence[Batch]
    """What the step took here."""
    again: bool = False
    """Whether to see the examples exactly as the step did; otherwise with other noise at other times, since what a step
    has just learned of its own noise is no measure of the network."""

    @property
    def step(self) -> int:
        """The step just taken."""
        return self.state.step

    @property
    def task(self) -> Task:
        return self.state.task

    @property
    def batch(self) -> Batch:
        """The examples looked at: those of the first pass."""
        return self.passes[0]

    @property
    def draws(self) -> Draws:
        """Their keys."""
        return self._draws(self.batch)

    def losses(self, rows: Sequence[int] | None = None) -> Losses:
        """What the examples cost now, or (`rows`) some of them, with gradients where they are enabled."""
        batch = self.batch if rows is None else rows_of(self.batch, rows)
        return self.task.losses(batch, self._draws(batch), step=self.step)

    def _draws(self, batch: Batch) -> Draws:
        return Draws.of(self.train.seed, batch.positions, step=0 if self.again else 1)

    @property
    def share(self) -> float:
        """How much of the run is over."""
        return self.step / self.train.steps

    @property
    def loss_scale(self) -> float:
        """What a loss is multiplied with so that float16 holds its gradient (Micikevicius et al. 2018, section 3.2)."""
        return 1024.0 if self.train.precision == "fp16" else 1.0


def rows_of(batch: Batch, rows: Sequence[int]) -> Batch:
    """Some of a batch's examples."""
    return replace(
        batch,
        positions=tuple(batch.positions[row] for row in rows),
        images_BCHW=batch.images_BCHW[list(rows)],
        raw={name: [values[row] for row in rows] for name, values in batch.raw.items()},
    )
