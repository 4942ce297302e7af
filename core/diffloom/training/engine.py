"""Where a run computes, and in what precision: devices and processes as the loop sees them."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager

import torch
from packaging.version import Version

from diffloom.config.document import Train
from diffloom.errors import ConfigError, Problem
from diffloom.training.parallel import Copies, Parallel, Shares, Whole
from diffloom.training.precision import autocast
from diffloom.training.processes import Processes
from diffloom.training.split import Split
from diffloom.training.task import Task

SHARDING = Version("2.9")
"""The first torch that writes shares of safetensors from several processes."""


class Engine:
    """The processes of a run, seen from one of them.

    Raises ConfigError for what cannot be trained so, and DiffloomError for a device that cannot be used.
    """

    def __init__(self, train: Train, *, device: torch.device | str | None = None) -> None:
        if train.parallel == "sharded" and Version(torch.__version__) < SHARDING:
            raise ConfigError(
                [
                    Problem(
                        "train.parallel",
                        f"sharded weights need torch {SHARDING} or newer, and {torch.__version__} is installed; "
                        "update it, or take data",
                    )
                ]
            )
        self.processes = Processes(device)
        self._train = train
        with self.processes.together():
            if train.parallel == "sharded" and train.precision == "fp16":
                raise ConfigError(
                    [
                        Problem(
                            "train.precision",
                            "fp16 needs loss scaling, which sharded weights lack; take bf16",
                        )
                    ]
                )
            self.split.require_possible()

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.processes.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run folder."""
        return self.processes.is_main

    @property
    def split(self) -> Split:
        """This process's part of every batch."""
        return Split(
            batch_size=self._train.batch_size,
            micro_batch_size=self._train.micro_batch_size,
            process=self.processes.index,
            processes=self.processes.count,
        )

    def settled(self, train: Train) -> Engine:
        """The same processes for settings of which less is left open."""
        engine = copy.copy(self)
        engine._train = train
        return engine

    def autocast(self) -> AbstractContextManager[object]:
        """While entered, networks compute in the run's precision; enter it anew for each call of a network."""
        return autocast(self._train.precision, self.device)

    def parallel(self, task: Task) -> Parallel:
        """The task's weights as this process holds them; to be called before the optimiser is built."""
        if self.processes.count == 1:
            return Whole(task)
        return (Shares if self._train.parallel == "sharded" else Copies)(task, self.processes)
