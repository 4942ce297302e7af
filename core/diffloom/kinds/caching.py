"""Kind `caching`: what a network need not compute again at every level of a walk."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor, nn

    from diffloom.condition import Condition


class Network(Protocol):
    """What a backbone builds, and what stands in its place for one walk."""

    def __call__(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        """The network's raw output."""
        ...


class Caching(Component):
    """Trades accuracy for speed: at some levels of a walk, part of the network is not computed but remembered."""

    kind: ClassVar[str] = "caching"

    @abstractmethod
    def build(self, network: nn.Module) -> Network:
        """The network for one walk under one condition, called once a level, from the noisiest on.

        Rows never mix. Raises ValueError for a network that has no part to leave out.
        """
