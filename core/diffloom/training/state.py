"""All that a run is made of between two steps: enough to go on as if nothing had happened.

Random numbers are keyed by the step and the example's position, so there is no generator's state to keep.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from diffloom.checkpoint import Checkpoint, load_strict
from diffloom.checkpoint.groups import split
from diffloom.checkpoint.weights import ema_group
from diffloom.config.document import Train
from diffloom.training.ema import Average
from diffloom.training.meter import Meter
from diffloom.training.optimizer import build_optimizer, load_optimizer, optimizer_tensors
from diffloom.training.precision import LossScaler
from diffloom.training.task import Task, freeze

BESIDE = "beside"
"""The group of what is trained beside the model."""
SCALER = "scaler"
"""The group of the loss scaling of fp16."""


class TrainState:
    """Weights, their averages, the optimiser's moments, the step.

    The task's frozen parts, and whatever a part has switched `requires_grad` off for, are not trained. What is trained
    beside the model has no average, which is for samples.
    """

    def __init__(self, task: Task, train: Train) -> None:
        self.task = task
        self.module = task.module
        self.beside = task.beside
        self.frozen = sorted(task.frozen)
        freeze(task)
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
        self.scaler = LossScaler(train.precision, task.device)
        self.meter = Meter(task.device, axis=task.axis)

    def train_mode(self) -> None:
        """Dropout and the like on, but for the frozen parts."""
        self.module.train()
        self.beside.train()
        for part in self.frozen:
            self.module[part].eval()

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """All tensors by group and name, for a checkpoint; sharded ones as they are."""
        frozen, weights = split(self.module, frozen=self.frozen)
        beside, scaler = self.beside.state_dict(), self.scaler.tensors()
        return {
            "frozen": frozen,
            "weights": weights,
            **{ema_group(name): self._averaged(name) for name in self.averages},
            "optimizer": optimizer_tensors(self.optimizer, self.parameters),
            "meter": self.meter.tensors(),
            **({BESIDE: beside} if beside else {}),
            **({SCALER: scaler} if scaler else {}),
        }

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. Raises CheckpointError when it is damaged or of another model."""
        like = self.parameters
        for name, average in self.averages.items():
            with average.applied():
                tensors = checkpoint.tensors(ema_group(name), like=like)
                load_strict(self.module, tensors, checkpoint.path)
        load_strict(self.module, checkpoint.tensors("weights", like=like), checkpoint.path)
        if self.beside.state_dict():
            load_strict(self.beside, checkpoint.group(BESIDE, like=like), checkpoint.path)
        optimizer = checkpoint.group("optimizer", like=like)
        load_optimizer(self.optimizer, self.parameters, optimizer, checkpoint.path)
        self.meter.load(checkpoint.group("meter"))
        if self.scaler.is_on:
            self.scaler.load(checkpoint.group(SCALER))
        self.step = checkpoint.step

    @property
    def ema(self) -> Average:
        """The average that samples are drawn from."""
        return self.averages[""]

    def _averaged(self, name: str) -> dict[str, Tensor]:
        """The changing tensors as an average has them."""
        with self.averages[name].applied():
            changing = split(self.module, frozen=self.frozen).changing
            return {n: t.clone() if isinstance(t, DTensor) else t for n, t in changing.items()}


def whole(groups: Mapping[str, Mapping[str, Tensor]], *, keep: bool) -> dict[str, dict[str, Tensor]]:
    """The groups with each sharded tensor gathered, on the CPU. All processes take part, and those that `keep` nothing
    have empty groups."""
    gathered: dict[str, dict[str, Tensor]] = {}
    for group, tensors in groups.items():
        gathered[group] = {}
        for name, tensor in tensors.items():
            full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if keep:
                gathered[group][name] = full.detach().cpu()
    return gathered


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
