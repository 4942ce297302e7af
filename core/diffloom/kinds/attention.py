"""Kind `attention`: who computes softmax(q·kᵀ / √D)·v."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from diffloom.kinds.component import Component

if TYPE_CHECKING:
    from diffloom.nn import AttentionKernel


class Attention(Component):
    """Computes the attention of every network of a model, in training and in sampling."""

    kind: ClassVar[str] = "attention"

    @abstractmethod
    def build(self) -> AttentionKernel:
        """The kernel. Raises DiffloomError where a library or a device that it needs is missing.

        A kernel is exact up to the rounding of its operands' type, differentiable wherever they ask for gradients, and
        takes masks and heads of any width; where it cannot compute a shape itself, it says once who does instead.
        """
