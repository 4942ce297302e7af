"""What conditions a block. Legend: B batch, E embedding width."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from diffloom.condition import Condition


@dataclass(frozen=True)
class Signal:
    """What a block may read beside the picture itself."""

    emb_BE: Tensor | None = None
    """The embedding of time and whatever was added to it, already activated (blocks would all repeat it)."""
    condition: Condition = field(default_factory=Condition)
    """The encoded conditions, for blocks that attend to tokens."""


NO_SIGNAL = Signal()
"""For networks that nothing conditions, such as autoencoders."""
