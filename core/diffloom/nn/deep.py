"""A network divided in an outside and an inside. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor


class Deep(Protocol):
    """Stands around the inside of a network, which it need not compute at every call (Ma et al. 2023).

    A network that can be divided has an attribute `depths`, the number of its divisions, and takes one more argument,
    `network(x_BCHW, t_B, condition, deep=deep)`: it then computes `deep(inside)` where it would compute `inside()`.
    """

    @property
    def depth(self) -> int:
        """Which division: 1 … `depths`; the larger, the more lies outside and is computed every time."""
        ...

    def __call__(self, inside: Callable[[], Tensor]) -> Tensor:
        """What `inside()` computes now, or computed at an earlier call of as many rows; not to be written to.

        It has a row for each sample, and is all that the inside gives to the outside.
        """
        ...
