"""Kind `variance`: of the reverse step p(x_s | x_t)."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process import Denoised, Level


class ReverseVariance(Protocol):
    """What a variance builds."""

    def std(self, current: Level, following: Level, denoised: Denoised) -> Tensor | float:
        """Standard deviation of x_s given x_t, for the step from level t (`current`) to s (`following`).

        A float, or a tensor that broadcasts against x_BCHW. Zero where s is clean.
        """
        ...

    def log_variance(
        self, current: Level, following: Level, denoised: Denoised, *, least: float
    ) -> Tensor | float:
        """The logarithm of the variance, as the variational bound reads it.

        `least` is β̃ of the chain's second step, which stands for that of the step into the clean level, 0
        (Nichol & Dhariwal 2021, section 3.1; Ho et al. 2020 clip alike). Elsewhere it is log std².
        """
        ...


class Variance(Component):
    """Variance of the reverse step."""

    kind: ClassVar[str] = "variance"
    learned: ClassVar[bool] = False
    """Whether the network gives it, in a second set of output channels."""

    @abstractmethod
    def build(self) -> ReverseVariance:
        """The variance as a function of the step."""
