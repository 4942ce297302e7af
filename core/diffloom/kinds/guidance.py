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
        under: Callable[[Condition], Callable[[Tensor, Level], Denoised]],
        condition: Condition,
        null: Condition,
    ) -> Callable[[Tensor, Level], Denoised]:
        """The guided denoiser: (x_BCHW, level) → x₀ and ε, in x's dtype.

        Called once for a walk. `under(condition)` is the denoiser under a condition, and computes there and then what
        depends on the condition alone, so it too is called before the walk. `null` has a row for each of `condition`.
        """
        ...


class Guidance(Component):
    """Steers the denoiser."""

    kind: ClassVar[str] = "guidance"

    scale: float = 1.0
    """Strength; 1 is the plain conditional model, 0 the unconditional one."""

    @abstractmethod
    def build(self) -> Guide:
        """The guided denoiser."""
