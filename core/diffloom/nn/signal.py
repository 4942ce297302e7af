"""What conditions a block. Legend: B batch, E embedding width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from diffloom.condition import Condition


@dataclass(frozen=True)
class Signal:
    """What a block may read beside the picture itself."""

    emb_BE: Tensor | None = None
    """The embedding of time and whatever was added to it, already activated (blocks would all repeat it)."""
    condition: Condition = field(default_factory=Condition)
    """The encoded conditions, for blocks that attend to tokens."""
    time: float | None = None
    """The time of every row, where `condition.memory` may hold what blocks make of the embedding at it."""

    def projected(self, block: Any, projection: Callable[[Any], Tensor]) -> Tensor:
        """What a block makes of the embedding: a row for each picture, or one for all of them.

        It is in the condition's memory under (block, time) where it was computed beforehand (`remembered_projections`).
        """
        known = None if self.time is None else self.condition.memory.get((block, self.time))
        return projection(self.emb_BE) if known is None else known[0]


NO_SIGNAL = Signal()
"""For networks that nothing conditions, such as autoencoders."""
