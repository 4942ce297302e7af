"""Kind `weighting`: how much each noise level counts in a loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process import Process


class Weigh(Protocol):
    """What a weighting builds. An `nn.Module` is trained, and saved, with the model."""

    def __call__(self, error_B: Tensor, t_B: Tensor, *, process: Process) -> Tensor:
        """The weighted loss of each example (B,), from its error against the prediction's own target.

        The weight at a level is the same whatever the model predicts: it is divided by the square of the prediction's
        `gain`, unless the paper gives it for one prediction alone. Finite at every level of the schedule.
        """
        ...


class Weighting(Component):
    """Weighs the noise levels."""

    kind: ClassVar[str] = "weighting"

    @abstractmethod
    def build(self) -> Weigh:
        """The weight as a function of the level."""
