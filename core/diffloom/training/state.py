"""All that a run is made of between two steps: enough to go on as if nothing had happened.

Random numbers are keyed by the step and the example's position, so there is no generator's state to keep.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from diffloom.checkpoint import Checkpoint, Header, load_strict, save_checkpoint
from diffloom.checkpoint.groups import split
from diffloom.config.document import Train
from diffloom.training.ema import Average
from diffloom.training.meter import Meter
from diffloom.training.optimizer import build_optimizer, load_optimizer, optimizer_tensors
from diffloom.training.task import Task

BESIDE = "beside"
"""The group of what is trained beside the model."""


def ema_group(name: str) -> str:
    """The group of an average: `ema` for the one that samples are drawn from, `ema:NAME` for a further one."""
    return f"ema:{name}" if name else "ema"


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
        weights = list(averaged.values())
        self.averages = {
            name: Average(weights, config, batch_size=train.batch_size)
            for name, config in {"": train.ema, **train.further_ema}.items()
        }
        self.meter = Meter(task.device, axis=task.axis)

    def train_mode(self) -> None:
        """Dropout and the like on, but for the frozen parts."""
        self.module.train()
        self.beside.train()
        for part in self.frozen:
            self.module[part].eval()

    def save(self, path: Path, *, config: str) -> Header:
        """Write a checkpoint. Raises CheckpointError."""
        frozen, weights = split(self.module, frozen=self.frozen)
        beside = self.beside.state_dict()
        groups = {
            "frozen": frozen,
            "weights": weights,
            **{ema_group(name): self._averaged(name) for name in self.averages},
            "optimizer": optimizer_tensors(self.optimizer, self.parameters),
            "meter": self.meter.tensors(),
            **({BESIDE: beside} if beside else {}),
        }
        return save_checkpoint(path, groups, step=self.step, config=config)

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. Raises CheckpointError when it is damaged or of another model."""
        for name, average in self.averages.items():
            with average.applied():
                load_strict(self.module, checkpoint.tensors(ema_group(name)), checkpoint.path)
        load_strict(self.module, checkpoint.tensors("weights"), checkpoint.path)
        if self.beside.state_dict():
            load_strict(self.beside, checkpoint.group(BESIDE), checkpoint.path)
        load_optimizer(self.optimizer, self.parameters, checkpoint.group("optimizer"), checkpoint.path)
        self.meter.load(checkpoint.group("meter"))
        self.step = checkpoint.step

    @property
    def ema(self) -> Average:
        """The average that samples are drawn from."""
        return self.averages[""]

    def _averaged(self, name: str) -> dict[str, Tensor]:
        """The changing tensors as an average has them."""
        with self.averages[name].applied():
            return split(self.module, frozen=self.frozen).changing


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
