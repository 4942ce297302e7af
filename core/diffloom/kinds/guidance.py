"""Kind `guidance`: wraps the denoiser to steer it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.condition import Condition
    from diffloom.process import Denoised, Level


class Guide(Protocol):
    """What a guidance builds."""

    def __call__(
        self,
        denoise: Callable[[Tensor, Level, Condition], Denoised],
        x_BCHW: Tensor,
        level: Level,
        condition: Condition,
        null: Condition,
    ) -> Denoised:
        """The guided x₀ and ε at x_BCHW. `null` holds the null condition, one row for each of `condition`."""
        ...


class Guidance(Component):
    """Steers the denoiser."""

    kind: ClassVar[str] = "guidance"

    scale: float = 1.0
    """Strength; 1 is the plain conditional model, 0 the unconditional one."""

    @abstractmethod
    def build(self) -> Guide:
        """The guided denoiser."""
