"""Kind `optimizer`: how the weights follow their gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import NonNegativeFloat

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class ParameterGroup:
    """Weights that are treated alike."""

    parameters: Sequence[nn.Parameter]
    decays: bool
    """Whether weight decay is for them: not for biases, scales of norms and embeddings."""


class Optimizer(Component):
    """Moves the weights against their gradients, once in an optimiser step."""

    kind: ClassVar[str] = "optimizer"
    shardable: ClassVar[bool] = True
    """Whether it works where each process has only a share of every weight (`train.parallel: sharded`)."""

    weight_decay: NonNegativeFloat = 0.0
    """How fast the weights that decay shrink: decoupled from the gradient, times the learning rate."""

    @abstractmethod
    def build(self, groups: Sequence[ParameterGroup], *, lr: float) -> torch.optim.Optimizer:
        """The optimiser over these weights, with `weight_decay` for the groups that decay and 0 for the others.

        `lr` is the learning rate at its highest; each step sets the `lr` of every group before it asks for an update.
        All that it remembers between steps is in its `state` and in its `param_groups`, as tensors and numbers.
        Raises DiffloomError where a library is missing.
        """

    def described(self, groups: Sequence[ParameterGroup]) -> list[dict[str, Any]]:
        """The groups with their decay, as torch's optimisers take them."""
        return [
            {"params": list(group.parameters), "weight_decay": self.weight_decay if group.decays else 0.0}
            for group in groups
        ]
