"""Kind `weighting`: how much each noise level counts in a loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.kinds.variance import Variance
    from diffloom.process import Process


class Weigh(Protocol):
    """What a weighting builds. An `nn.Module` is trained, and saved, with the model."""

    def __call__(self, error_B: Tensor, t_B: Tensor, *, process: Process) -> Tensor:
        """The weighted loss of each example (B,), from its error against the prediction's own target.

        The loss rises evenly with the error, at every level of the schedule. Unless the weighting is `of_output`, the
        rate is a weight for errors in x₀ divided by the square of the prediction's `gain`: the same loss whatever the
        model predicts.
        """
        ...


class Weighting(Component):
    """Weighs the noise levels."""

    kind: ClassVar[str] = "weighting"

    @property
    def of_output(self) -> bool:
        """Whether it weighs the error of the network's output as it is, whatever that predicts."""
        return False

    def check(self, *, variance: Variance) -> None:
        """Raises ValueError for a variance with which there is no such weight. Needs no torch."""

    @abstractmethod
    def build(self) -> Weigh:
        """The weight as a function of the level."""
