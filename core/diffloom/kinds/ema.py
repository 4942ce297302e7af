"""Kind `ema`: how the average of the weights forgets."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from diffloom.kinds.component import Component


class EMA(Component):
    """A moving average of the trained weights."""

    kind: ClassVar[str] = "ema"

    @property
    def exponent(self) -> float | None:
        """γ of an average that after step t has the weights of step τ in proportion to τ^γ, whatever t and the batch:
        such averages can be combined into others afterwards. None for all else.
        """
        return None

    @abstractmethod
    def remaining(self, step: int, *, batch_size: int) -> float:
        """What stays of the average at optimiser step `step`, counted from 1, in [0, 1]; the rest is the new weights.

        `batch_size` is how many pictures an optimiser step sees.
        """
