"""Kind `optimizer`: how the weights follow their gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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

    weight_decay: NonNegativeFloat = 0.0
    """How fast the weights that decay shrink: decoupled from the gradient, times the learning rate."""

    @abstractmethod
    def build(self, groups: Sequence[ParameterGroup], *, lr: float) -> torch.optim.Optimizer:
        """The optimiser over these weights, with `weight_decay` for the groups that decay and 0 for the others.

        `lr` is the learning rate at its highest; each step sets the `lr` of every group before it asks for an update.
        All that it remembers between steps is in its `state_dict()`. Raises DiffloomError where a library is missing.
        """
