"""Kind `objective`: the loss, its weighting over t, how t is drawn, how noise is paired with data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.kinds.schedule import Schedule
    from diffloom.kinds.space import Space
    from diffloom.kinds.variance import Variance
    from diffloom.process import Draws, Process


class Loss(Protocol):
    """What an objective builds. An `nn.Module` is trained beside the model, and saved to go on; samples do not need it.

    One that learns of past losses has a method `observe(draws, loss_B, *, process)`, which is called after each
    optimiser step with the draws and losses of all its examples.
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
    trains_variance: ClassVar[bool] = False
    """Whether a learned variance learns from it; a loss of the prediction alone leaves it as it began."""

    self_conditioning: bool = False
    """Show the network its own estimate of x₀ in half of the examples (Chen et al. 2022, section 3.2); the backbone
    must be self-conditioned too."""

    def check(self, *, schedule: Schedule, variance: Variance, space: Space) -> None:
        """Raises ValueError for parts that it cannot train. Needs no torch: a run is refused before it begins."""
        if variance.learned and not self.trains_variance:
            raise ValueError(
                f"{self.canonical} does not train the variance, and {variance.canonical} is learned; take objective: "
                "hybrid or variational_bound, or a fixed variance with backbone.learn_variance: false"
            )

    @abstractmethod
    def build(self) -> Loss:
        """The loss as a function of the network and the data."""
