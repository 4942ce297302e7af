"""Kind `prediction`: what the network outputs, and its exact conversion to x₀ and ε."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.kinds.schedule import NoiseSchedule


class Conversion(Protocol):
    """What a prediction builds. alpha and sigma are floats, or tensors that broadcast against x_BCHW."""

    def scale_in(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """What x_t is multiplied by before the network sees it: 1 unless the prediction preconditions its input."""
        ...

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """What a perfect network outputs at x_t = alpha·x0 + sigma·eps."""
        ...

    def x0_eps(
        self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """The predicted x₀ and ε; together they give x_t back: alpha·x₀ + sigma·ε = x_t.

        Linear in `output` and `x_t` together, so that a level's four numbers tell all of it.
        """
        ...

    def gain(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """|d output / d x₀| at fixed x_t: how large an error of the output one unit of error in x₀ is.

        All conversions are affine, so this is a function of the level; 0 where the output says nothing of x₀.
        """
        ...


class Prediction(Component):
    """What the network predicts."""

    kind: ClassVar[str] = "prediction"
    needs_signal: ClassVar[bool] = False
    """Whether x₀ cannot be told from it where no signal is left (alpha = 0)."""
    needs_counted_times: ClassVar[bool] = False
    """Whether it says something of the time before, which only a schedule of counted times has."""

    @property
    def data_std(self) -> float:
        """Standard deviation of x₀ that it is made for: 1, as noise schedules are, unless it says otherwise."""
        return 1.0

    @abstractmethod
    def build(self, *, schedule: NoiseSchedule) -> Conversion:
        """The conversion between the network's output, x₀ and ε; few need to know the schedule."""
