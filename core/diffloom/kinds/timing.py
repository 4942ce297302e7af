"""Kind `timing`: how the times of training are drawn."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.kinds.schedule import NoiseSchedule
    from diffloom.process import Draws


class Times(Protocol):
    """What a timing builds. An `nn.Module` keeps what it has learned of past losses in its buffers."""

    def __call__(self, draws: Draws, *, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        """A time for each example, and the factor that makes its loss an unbiased estimate: both (B,), float64, CPU.

        Times are those of training: whole ones where the schedule counts them. The factor is 1 where the paper draws
        times unevenly on purpose. A time depends on its example's draws only.
        """
        ...


class Timing(Component):
    """Draws the times of training."""

    kind: ClassVar[str] = "timing"

    @abstractmethod
    def build(self) -> Times:
        """The times as a function of the draws."""
