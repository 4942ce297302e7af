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
    """What an objective builds. An `nn.Module` is trained, and saved, with the model.

    One that learns of past losses has a method `observe(t_B, loss_B)`, which is called after each optimiser step with
    all its examples.
    """

    def __call__(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        x0_BCHW: Tensor,
        *,
        process: Process,
        draws: Draws,
    ) -> Tensor:
        """The loss of each example, shape (B,).

        `network(x_BCHW, t_B)` is the backbone with its condition filled in: x_t times the prediction's `scale_in`, and
        beside it the estimate of x₀ where the backbone is self-conditioned. Times and noise come from `draws`,
        keyed by example, so that they do not depend on how the batch is split.
        """
        ...


class Objective(Component):
    """The training loss."""

    kind: ClassVar[str] = "objective"

    self_conditioning: bool = False
    """Show the network its own estimate of x₀ in half of the examples (Chen et al. 2022, section 3.2); the backbone
    must be self-conditioned too."""

    @abstractmethod
    def build(self) -> Loss:
        """The loss as a function of the network and the data."""
