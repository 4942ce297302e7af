"""Kind `pairing`: which noise meets which example in training. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor


class Pair(Protocol):
    """What a pairing builds."""

    def __call__(self, x0_BCHW: Tensor, eps_BCHW: Tensor) -> Tensor:
        """The noise of each example: the rows of eps_BCHW in another order, or as they are."""
        ...


class Pairing(Component):
    """Pairs noise with data."""

    kind: ClassVar[str] = "pairing"

    @abstractmethod
    def build(self) -> Pair:
        """The noise as a function of data and noise."""
