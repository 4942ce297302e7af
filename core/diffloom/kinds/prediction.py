"""Kind `prediction`: what the network outputs, and its exact conversion to x₀ and ε."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor


class Conversion(Protocol):
    """What a prediction builds. alpha and sigma are floats, or tensors that broadcast against x_BCHW."""

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """What a perfect network outputs at x_t = alpha·x0 + sigma·eps."""
        ...

    def x0_eps(
        self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """The predicted x₀ and ε; together they give x_t back: alpha·x₀ + sigma·ε = x_t."""
        ...


class Prediction(Component):
    """What the network predicts."""

    kind: ClassVar[str] = "prediction"

    @abstractmethod
    def build(self) -> Conversion:
        """The conversion between the network's output, x₀ and ε."""
