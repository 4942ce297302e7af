"""Kind `schedule`: alpha(t) and sigma(t), with x_t = alpha·x₀ + sigma·ε."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process import Level


class NoiseSchedule(Protocol):
    """What a schedule builds. Times are table indices 0 … steps−1 (ᾱ₁ … ᾱ_T of the papers); fractions are allowed."""

    @property
    def steps(self) -> int:
        """T, the number of times the schedule was made for."""
        ...

    @property
    def prior_std(self) -> float:
        """Standard deviation of x_T when sampling starts: 1 for variance-preserving schedules."""
        ...

    def alpha(self, t: Tensor) -> Tensor:
        """alpha at times t (any shape), float64 of the same shape."""
        ...

    def sigma(self, t: Tensor) -> Tensor:
        """sigma at times t (any shape), float64 of the same shape."""
        ...

    def levels(self, times: Sequence[float]) -> tuple[Level, ...]:
        """The noise level at each time in float64, then the clean level: one more than `times`."""
        ...


class Schedule(Component):
    """The noise schedule."""

    kind: ClassVar[str] = "schedule"

    @property
    @abstractmethod
    def length(self) -> int:
        """T, known without torch: a sampler can take no more steps than this."""

    @abstractmethod
    def build(self) -> NoiseSchedule:
        """Compute the tables in float64."""
