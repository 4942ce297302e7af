"""The parts that a network repeats: what checkpointing, compiling and sharding take one by one."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    """A module of a size to be handled as one: a residual block, an attention, a layer of a transformer.

    Authors of networks derive from it what their network repeats, and write it as any module. What a block computes is
    a function of its arguments, its weights and the keys of its `Dropout`: so it may be computed again on the way back.
    """

    recomputed: bool = False
    """Whether only its arguments are kept for the backward pass (Chen et al. 2016), and the rest is computed again."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.recomputed and torch.is_grad_enabled():
            return checkpoint(super().__call__, *args, use_reentrant=False, **kwargs)
        return super().__call__(*args, **kwargs)


def blocks(module: nn.Module) -> dict[str, Block]:
    """The blocks of a network by their dotted names, in their order; a block inside another is a part of it."""
    found: dict[str, Block] = {}
    outer = None
    for name, part in module.named_modules():  # what is inside a block comes right after it
        if isinstance(part, Block) and (outer is None or not name.startswith(outer)):
            found[name] = part
            outer = f"{name}." if name else ""
    return found
