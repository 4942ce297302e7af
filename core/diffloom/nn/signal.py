"""What conditions a block. Legend: B batch, E embedding width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    projections: Mapping[Any, Tensor] = field(default_factory=dict)
    """What blocks make of the embedding, by block, where a network computed it beforehand: a row for each picture, or
    one for all."""

    def projected(self, block: Any, projection: Callable[[Any], Tensor]) -> Tensor:
        """What a block makes of the embedding: computed beforehand, or now."""
        known = self.projections.get(block)
        return projection(self.emb_BE) if known is None else known


NO_SIGNAL = Signal()
"""For networks that nothing conditions, such as autoencoders."""
