"""How many rows may go through a tower together, and by which threads, each the same to the last bit as alone.

Legend: N rows, L tokens, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from diffloom.nn import in_shares, shares
from diffloom_clip.in_place import Blocks

SIZES = (8, 4, 2)
"""Rows of a group. Few sizes, so that little is to be tried; beyond 8 nothing is gained."""


LEAST_APART = 4
"""Rows for each thread that reads rows alone. On two Xeon cores 4 and 4 rows of ViT-L were read 1.05 times as fast so,
as threads wait for each other once and not in every product; of fewer rows a thread's products are slower."""


class Groups(NamedTuple):
    """The rows one after another, in those that go together."""

    apart: Sequence[Sequence[Tensor]]
    """For each of torch's threads what it reads alone; nothing where rows are not dealt so."""
    together: Sequence[Tensor]
    """Behind those, what all threads read."""


@dataclass
class Alike:
    """What was tried on one text transformer, which `Blocks` computes.

    How a library sums depends on the shape of a product, on the place within it and on the number of threads, not on
    its numbers: one row taken N times shows whether any of N rows would come out otherwise than alone. It is tried on
    the first block, as all are of the same shapes, once for a size, a type, a device and a number of threads: the cost
    of N + 1 rows of a block.
    """

    _tried: dict[tuple[Any, ...], bool] = field(default_factory=dict)

    def groups(self, text: nn.Module, ids_NL: Tensor) -> Groups:
        """Those of these rows: of one each where none may go together."""
        threads = shares() if ids_NL.device.type == "cpu" else 1
        each = len(ids_NL) // threads
        if threads == 1 or each < LEAST_APART or not self._is_alike(text, 1, threads):
            return Groups((), list(self._grouped(text, ids_NL, 1)))
        *parts, rest_NL = torch.tensor_split(ids_NL, [each * (share + 1) for share in range(threads)])
        return Groups(
            [list(self._grouped(text, part_NL, threads)) for part_NL in parts],
            list(self._grouped(text, rest_NL, 1)),
        )

    def _grouped(self, text: nn.Module, ids_NL: Tensor, threads: int) -> Iterator[Tensor]:
        done, count = 0, len(ids_NL)
        for size in SIZES:
            while count - done >= size and self._is_alike(text, size, threads):
                yield ids_NL[done : done + size]
                done += size
        yield from (ids_NL[place : place + 1] for place in range(done, count))

    def _is_alike(self, text: nn.Module, size: int, threads: int) -> bool:
        weight = cast("Tensor", text.positional_embedding)
        key = (
            size,
            threads,
            weight.device,
            weight.dtype,
            torch.get_num_threads(),
            torch.get_float32_matmul_precision(),
        )
        if key not in self._tried:
            self._tried[key] = _tried(text, size, threads)
        return self._tried[key]


def _tried(text: nn.Module, size: int, threads: int) -> bool:
    """Whether a row in each of `size` places comes out of a block as it does alone: of all of torch's threads together,
    or of each of several `threads` apart."""
    row_LD = cast("Tensor", text.positional_embedding)
    block = cast("Any", text).transformer.resblocks[0]
    causal = text.attn_mask is not None
    # No two numbers the same, of the order that a normalisation makes of them anyway.
    numbers = torch.linspace(0, 1000, row_LD.numel(), dtype=torch.float64).sin()
    x_1LD = numbers.view(1, *row_LD.shape).to(row_LD)

    def advanced(count: int) -> Tensor:
        x_NLD = x_1LD.repeat(count, 1, 1)
        Blocks(block, like_NLD=x_NLD, causal=causal).advance(x_NLD, block)
        return x_NLD

    alone_1LD = advanced(1)
    return all(in_shares(lambda _: bool((advanced(size) == alone_1LD).all()), range(threads)))
