"""The blocks of an attention of narrow heads, the scores of one key side by side.

For a head of width 8 a block's products cost little more than to read and write its scores, and what is around them
counts: so operands are laid out once for all blocks of the same heads, the last row of the values is ones, whose
product is the sum of the exponentials, and results are divided by theirs at once.

Legend: B batch, N heads, L queries, M keys, D head width, C = D + 1; of one block, H heads and Q queries; P its place
among the blocks of the same heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from diffloom_attention.buffer import Buffer

SCORES = 2**18
"""Of one block: 1 MiB in float32, which a core's second cache holds beside the block's operands."""
QUERIES = 32
"""Of one block at most, so that as many heads as may be are laid out together: 32 and 64 were as fast as 128 by one
thread, and 1.1 to 1.2 times as fast by two, which wait for Python's lock between operations."""

buffer = Buffer()

Place: TypeAlias = tuple[int, int, int]
"""Of a block: its picture, its first head, its part of the queries."""


class Blocks:
    """One call's operands and results. No gradients."""

    def __init__(
        self,
        q_BNLD: Tensor,
        k_BNMD: Tensor,
        v_BNMD: Tensor,
        *,
        mask_BNLM: Tensor | None,
        dtype: torch.dtype,
    ) -> None:
        """`mask_BNLM` broadcasts; `dtype` is the result's."""
        batch, heads, self.queries, width = q_BNLD.shape
        keys = k_BNMD.shape[2]
        self.size = _, Q = block_size(heads, self.queries, keys)
        parts = math.ceil(self.queries / Q)
        missing = parts * Q - self.queries  # the last blocks are filled up, and their last results left out
        if missing:
            q_BNLD = pad(q_BNLD, (0, 0, 0, missing))
        self.q_BNPQD = q_BNLD.reshape(batch, heads, parts, Q, width)
        self.k_BNMD, self.v_BNMD = k_BNMD, v_BNMD
        self.bias_BNPQM = None
        if mask_BNLM is not None:
            if mask_BNLM.shape[2] > 1:
                mask_BNLM = pad(mask_BNLM, (0, 0, 0, missing), value=True)
            bias_BNLM = q_BNLD.new_zeros(mask_BNLM.shape).masked_fill_(~mask_BNLM, -torch.inf)
            self.bias_BNPQM = bias_BNLM.expand(batch, heads, parts * Q, keys).view(
                batch, heads, parts, Q, keys
            )
        self.out_BPQND = q_BNLD.new_empty((batch, parts, Q, heads, width), dtype=dtype)
        self.total_BPNQ = q_BNLD.new_empty(batch, parts, heads, Q)

    def places(self) -> list[Place]:
        """All blocks, those that read the same keys one after another."""
        batch, heads, parts = self.q_BNPQD.shape[:3]
        return [
            (b, n, part) for b in range(batch) for n in range(0, heads, self.size[0]) for part in range(parts)
        ]

    def compute(self, places: Sequence[Place]) -> None:
        """These blocks, which follow one another."""
        for (b, n), same in groupby(places, itemgetter(0, 1)):
            parts = [part for _, _, part in same]
            self._compute(b, slice(n, n + self.size[0]), slice(parts[0], parts[-1] + 1))

    def _compute(self, b: int, some: slice, parts: slice) -> None:
        """Those of some heads of a picture, for some parts of its queries."""
        q_PHDQ = self.q_BNPQD[b, some, parts].permute(1, 0, 3, 2)
        k_HMD = self.k_BNMD[b, some].contiguous()
        (H, M, D), (P, Q) = k_HMD.shape, q_PHDQ.shape[::3]
        shapes = ((H, M, Q), (H, D + 1, M), (P, H, D, Q), (P, H, D + 1, Q))
        sizes = [math.prod(shape) for shape in shapes]
        kept = torch.split(buffer(sum(sizes), k_HMD.dtype), sizes)
        s_HMQ, v_HCM, scaled_PHDQ, mixed_PHCQ = (x.view(shape) for x, shape in zip(kept, shapes, strict=True))
        v_HCM[:, :-1] = self.v_BNMD[b, some].mT
        v_HCM[:, -1] = 1
        torch.mul(q_PHDQ, 1 / math.sqrt(D), out=scaled_PHDQ)
        for place in range(P):
            if self.bias_BNPQM is None:
                torch.bmm(k_HMD, scaled_PHDQ[place], out=s_HMQ)
            else:
                bias_HMQ = self.bias_BNPQM[b, some, parts][:, place].mT
                torch.baddbmm(bias_HMQ, k_HMD, scaled_PHDQ[place], out=s_HMQ)
            s_HMQ.exp_()
            torch.bmm(v_HCM, s_HMQ, out=mixed_PHCQ[place])
        mixed_PHDQ, total_PH1Q = mixed_PHCQ[:, :, :-1], mixed_PHCQ[:, :, -1:]
        mixed_PHDQ.div_(total_PH1Q)  # before they are laid out anew: where both are read in order
        self.out_BPQND[b, parts, :, some] = mixed_PHDQ.permute(0, 3, 1, 2)
        self.total_BPNQ[b, parts, some] = total_PH1Q.squeeze(2)

    def result(self) -> tuple[Tensor, Tensor]:
        """After all are computed: (B, N, L, D), in memory as the next projection reads it, and every picture's sums of
        exponentials."""
        out_BLND = self.out_BPQND.flatten(1, 2)[:, : self.queries].contiguous()
        return out_BLND.transpose(1, 2), self.total_BPNQ.flatten(1)


def block_size(heads: int, queries: int, keys: int) -> tuple[int, int]:
    """H and Q: about as many queries in each block, a multiple of 16."""
    most = max(16, min(QUERIES, SCORES // keys) // 16 * 16)
    parts = math.ceil(queries / most)
    Q = min(queries, math.ceil(queries / parts / 16) * 16)
    return max(1, min(heads, SCORES // (Q * keys))), Q
