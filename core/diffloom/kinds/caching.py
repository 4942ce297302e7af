"""Kind `caching`: what a network need not compute again at every level of a walk."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from torch import Tensor, nn

    from diffloom.condition import Condition


class Network(Protocol):
    """What a backbone builds, and what stands in its place at one time of a walk."""

    def __call__(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        """The network's raw output."""
        ...


class Remembering(Protocol):
    """A network for one walk under one condition, which remembers what it computed."""

    def at(self, t: float) -> Network:
        """The network at this time, for a call with t_B all t: told here so that nobody reads it from the device.

        Samplers may ask several times at one time, between the walk's times, and further up than before.
        """
        ...


class Caching(Component):
    """Trades accuracy for speed: at some levels of a walk, part of the network is not computed but remembered."""

    kind: ClassVar[str] = "caching"

    @abstractmethod
    def build(self, network: nn.Module, *, times: Sequence[float]) -> Remembering:
        """The network for one walk over these times, from the noisiest on, under one condition.

        Rows never mix, and as many come at every call. Raises ValueError for a network that has no part to leave out:
        most leave out the inside of one that can be divided (`diffloom.nn.Deep`).
        """
