"""All that a run is made of between two steps: enough to go on as if nothing had happened.

Random numbers are keyed by the step and the example's position, so there is no generator's state to keep.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from diffloom.checkpoint import Checkpoint, Header, load_strict, save_checkpoint
from diffloom.checkpoint.groups import split
from diffloom.config.document import Train
from diffloom.training.ema import EMA
from diffloom.training.meter import Meter
from diffloom.training.optimizer import build_optimizer, load_optimizer, optimizer_tensors
from diffloom.training.task import Task

BESIDE = "beside"
"""The group of what is trained beside the model."""


class TrainState:
    """Weights, their average, the optimiser's moments, the step.

    The task's frozen parts, and whatever a part has switched `requires_grad` off for, are not trained. What is trained
    beside the model has no average, which is for samples.
    """

    def __init__(self, task: Task, train: Train) -> None:
        self.task = task
        self.module = task.module
        self.beside = task.beside
        self.frozen = sorted(task.frozen)
        for part in self.frozen:
            self.module[part].requires_grad_(False)
        self.step = 0
        averaged = _trained(self.module)
        self.parameters = {**averaged, **_trained(self.beside)}
        everything = nn.ModuleDict({**self.module, **self.beside})
        self.optimizer = build_optimizer(everything, self.parameters, train)
        self.ema = EMA(list(averaged.values()), decay=train.ema_decay, warmup=train.ema_warmup)
        self.meter = Meter(task.device)

    def train_mode(self) -> None:
        """Dropout and the like on, but for the frozen parts."""
        self.module.train()
        self.beside.train()
        for part in self.frozen:
            self.module[part].eval()

    def save(self, path: Path, *, config: str) -> Header:
        """Write a checkpoint. Raises CheckpointError."""
        frozen, weights = split(self.module, frozen=self.frozen)
        with self.ema.applied():
            _, averages = split(self.module, frozen=self.frozen)
            groups = {
                "frozen": frozen,
                "weights": weights,
                "ema": averages,
                "optimizer": optimizer_tensors(self.optimizer, self.parameters),
                "meter": self.meter.tensors(),
                **({BESIDE: beside} if (beside := self.beside.state_dict()) else {}),
            }
            return save_checkpoint(path, groups, step=self.step, config=config)

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. Raises CheckpointError when it is damaged or of another model."""
        with self.ema.applied():
            load_strict(self.module, checkpoint.tensors("ema"), checkpoint.path)
        load_strict(self.module, checkpoint.tensors("weights"), checkpoint.path)
        if self.beside.state_dict():
            load_strict(self.beside, checkpoint.group(BESIDE), checkpoint.path)
        load_optimizer(self.optimizer, self.parameters, checkpoint.group("optimizer"), checkpoint.path)
        self.meter.load(checkpoint.group("meter"))
        self.step = checkpoint.step


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
