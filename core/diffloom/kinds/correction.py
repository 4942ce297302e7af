"""Kind `correction`: mends the guided prediction of x₀. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.process import Denoised, Level


class Correct(Protocol):
    """What a correction builds."""

    def __call__(self, x_t_BCHW: Tensor, level: Level, guided: Denoised, plain: Denoised) -> Tensor:
        """The corrected x₀, shaped like x_t, from the guided and the plain conditional prediction. Rows never mix."""
        ...


class Correction(Component):
    """Mends the guided prediction: after guidance, before clipping, in the order of the list."""

    kind: ClassVar[str] = "correction"

    @abstractmethod
    def build(self) -> Correct:
        """The correction."""
