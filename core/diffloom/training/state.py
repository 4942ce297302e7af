"""All that a run is made of between two steps: enough to go on as if nothing had happened.

Random numbers are keyed by the step and the example's position, so there is no generator's state to keep.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from diffloom.checkpoint import Checkpoint, Header, load_strict, save_checkpoint
from diffloom.config.document import Train
from diffloom.pipeline import Pipeline
from diffloom.training.ema import EMA
from diffloom.training.meter import Meter
from diffloom.training.optimizer import build_optimizer, load_optimizer, optimizer_tensors

SPACE = "space."


class TrainState:
    """Weights, their average, the optimiser's moments, the step.

    The conditioners and the backbone are trained; the space, and whatever a part has switched `requires_grad` off
    for, is frozen.
    """

    def __init__(self, pipeline: Pipeline, train: Train) -> None:
        self.pipeline = pipeline
        self.module = pipeline.module
        self.module["space"].requires_grad_(False)
        self.step = 0
        self.parameters: dict[str, nn.Parameter] = {
            name: parameter for name, parameter in self.module.named_parameters() if parameter.requires_grad
        }
        self.optimizer = build_optimizer(self.module, self.parameters, train)
        self.ema = EMA(list(self.parameters.values()), decay=train.ema_decay, warmup=train.ema_warmup)
        self.meter = Meter(pipeline.device)

    def train_mode(self) -> None:
        """Dropout and the like on, but for the space."""
        self.module.train()
        self.module["space"].eval()

    def save(self, path: Path, *, config: str) -> Header:
        """Write a checkpoint. Raises CheckpointError."""
        frozen, weights = self._split()
        with self.ema.applied():
            _, averages = self._split()
            groups = {
                "frozen": frozen,
                "weights": weights,
                "ema": averages,
                "optimizer": optimizer_tensors(self.optimizer, self.parameters),
                "meter": self.meter.tensors(),
            }
            return save_checkpoint(path, groups, step=self.step, config=config)

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. Raises CheckpointError when it is damaged or of another model."""
        with self.ema.applied():
            load_strict(self.module, checkpoint.tensors("ema"), checkpoint.path)
        load_strict(self.module, checkpoint.tensors("weights"), checkpoint.path)
        load_optimizer(self.optimizer, self.parameters, checkpoint.group("optimizer"), checkpoint.path)
        self.meter.load(checkpoint.group("meter"))
        self.step = checkpoint.step

    def _split(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The module's tensors by name: those that training leaves alone, and those it changes."""
        everyone = dict(self.module.named_parameters(remove_duplicate=False))
        frozen: dict[str, Tensor] = {}
        changing: dict[str, Tensor] = {}
        for name, tensor in self.module.state_dict().items():
            is_frozen = name.startswith(SPACE) or (name in everyone and not everyone[name].requires_grad)
            (frozen if is_frozen else changing)[name] = tensor
        return frozen, changing
