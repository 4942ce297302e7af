"""How many rows may go through a tower together, each the same to the last bit as alone.

Legend: N rows, L tokens, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from diffloom_clip.in_place import Blocks

SIZES = (8, 4, 2)
"""Rows of a group. Few sizes, so that little is to be tried; beyond 8 nothing is gained."""


@dataclass
class Alike:
    """What was tried on one text transformer, which `Blocks` computes.

    How a library sums depends on the shape of a product and on the place within it, not on its numbers: one row taken
    N times shows whether any of N rows would come out otherwise than alone. It is tried on the first block, as all are
    of the same shapes, once for a size, a type, a device and a number of threads: the cost of N + 1 rows of a block.
    """

    _tried: dict[tuple[Any, ...], bool] = field(default_factory=dict)

    def groups(self, text: nn.Module, ids_NL: Tensor) -> Iterator[Tensor]:
        """The rows one after another, in groups that may go together; alone where none may."""
        done, count = 0, len(ids_NL)
        for size in SIZES:
            while count - done >= size and self._is_alike(text, size):
                yield ids_NL[done : done + size]
                done += size
        yield from (ids_NL[place : place + 1] for place in range(done, count))

    def _is_alike(self, text: nn.Module, size: int) -> bool:
        weight = cast("Tensor", text.positional_embedding)
        key = (
            size,
            weight.device,
            weight.dtype,
            torch.get_num_threads(),
            torch.get_float32_matmul_precision(),
        )
        if key not in self._tried:
            self._tried[key] = _tried(text, size)
        return self._tried[key]


def _tried(text: nn.Module, size: int) -> bool:
    """Whether a row in each of `size` places comes out of a block as it does alone."""
    row_LD = cast("Tensor", text.positional_embedding)
    block = cast("Any", text).transformer.resblocks[0]
    causal = text.attn_mask is not None
    # No two numbers the same, of the order that a normalisation makes of them anyway.
    numbers = torch.linspace(0, 1000, row_LD.numel(), dtype=torch.float64).sin()
    x_1LD = numbers.view(1, *row_LD.shape).to(row_LD)
    alone_1LD, together_NLD = x_1LD.clone(), x_1LD.repeat(size, 1, 1)
    for x_NLD in (alone_1LD, together_NLD):
        Blocks(block, like_NLD=x_NLD, causal=causal).advance(x_NLD, block)
    return bool((together_NLD == alone_1LD).all())
