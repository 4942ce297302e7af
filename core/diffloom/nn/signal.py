"""What conditions a block. Legend: B batch, E embedding width, R rows, K numbers that a block makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
    known_RK: Tensor | None = None
    """What the block that is called makes of the embedding, where that is known: a row for each picture, or one."""

    def of(self, block: Any) -> Signal:
        """What a block is called with: the same, and from the condition's memory what it makes of the embedding.

        That is there under (block, time) where it was computed beforehand (`remembered_projections`). It is looked for
        where blocks are called, so that a compiled block sees a tensor and no time, for each of which it would be
        compiled anew.
        """
        known = None if self.time is None else self.condition.memory.get((block, self.time))
        return self if known is None else replace(self, known_RK=known[0])

    def projected(self, projection: Callable[[Any], Tensor]) -> Tensor:
        """What a block makes of the embedding: a row for each picture, or one for all of them."""
        return projection(self.emb_BE) if self.known_RK is None else self.known_RK


NO_SIGNAL = Signal()
"""For networks that nothing conditions, such as autoencoders."""
