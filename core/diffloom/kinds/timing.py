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
    """What a timing builds. An `nn.Module` keeps what it has learned of past losses in its buffers.

    One that learns has a method `observe(t_B, loss_B, *, schedule)`, which is called after each optimiser step with
    the times of all its examples and their losses without the factor.
    """

    def __call__(self, draws: Draws, *, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        """A time for each example, and the factor that makes its loss an unbiased estimate: both (B,), float64, CPU.

        Times are those of training: where the schedule counts them, one of these. A time and its factor depend on their
        example's draws only.
        """
        ...


class Timing(Component):
    """Draws the times of training."""

    kind: ClassVar[str] = "timing"
    unbiased: ClassVar[bool] = True
    """Whether the mean of factor·f(t) is the mean of f over the schedule's times. Where a paper draws times unevenly on
    purpose it is not, and the factor is 1."""

    @abstractmethod
    def build(self) -> Times:
        """The times as a function of the draws."""
