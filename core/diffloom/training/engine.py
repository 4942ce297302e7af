"""Where a run computes: accelerate's processes and devices as the loop sees them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from diffloom.config.document import Train
from diffloom.device import usable_device
from diffloom.process import Draws
from diffloom.training.feed import Batch
from diffloom.training.split import Split
from diffloom.training.task import Losses, Task


class LossModule(nn.Module):
    """All that is trained, with the loss as its forward pass: what data parallelism and sharding wrap."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.parts = task.module
        self.beside = task.beside
        self._task = (task,)  # outside the tree of modules

    def forward(self, batch: Batch, draws: Draws, step: int) -> Losses:
        return self._task[0].losses(batch, draws, step=step)


class Engine:
    """The processes of a run, seen from one of them."""

    def __init__(self, train: Train, *, device: torch.device | str | None = None) -> None:
        self.device = usable_device(device)
        self._accelerator = Accelerator(cpu=self.device.type == "cpu")
        self._train = train

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run folder."""
        return bool(self._accelerator.is_main_process)

    @property
    def split(self) -> Split:
        """This process's part of every batch."""
        return Split(
            batch_size=self._train.batch_size,
            micro_batch_size=self._train.micro_batch_size,
            process=self._accelerator.process_index,
            processes=self._accelerator.num_processes,
        )

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """While entered, networks compute in the run's precision."""
        yield

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a pass."""
        loss.backward()  # type: ignore[no-untyped-call]
