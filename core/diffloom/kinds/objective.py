"""Kind `objective`: the loss, its weighting over t, how t is drawn, how noise is paired with data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process import Draws, Process


class Loss(Protocol):
    """What an objective builds."""

    def __call__(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        x0_BCHW: Tensor,
        *,
        process: Process,
        draws: Draws,
    ) -> Tensor:
        """The loss of each example, shape (B,).

        `network(x_t_BCHW, t_B)` is the backbone with its condition filled in; times and noise come from `draws`,
        keyed by example, so that they do not depend on how the batch is split.
        """
        ...


class Objective(Component):
    """The training loss."""

    kind: ClassVar[str] = "objective"

    @abstractmethod
    def build(self) -> Loss:
        """The loss as a function of the network and the data."""
