"""The blocks of an attention, each of some heads and some queries of one picture.

Legend: B batch, N heads, L queries, M keys, D head width; of one block, H heads and Q queries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

import torch
from torch import Tensor

from diffloom_attention.buffer import Buffer

QUERIES = 256
"""Of one block at most: for few keys, more do not help, and push the results out of the cache."""

buffer = Buffer()

Place: TypeAlias = tuple[int, int, int]
"""Of a block: its picture, its first head, its first query."""


class Blocks:
    """One call's operands and results; the scores of one query lie side by side. No gradients."""

    def __init__(
        self,
        q_BNLD: Tensor,
        k_BNMD: Tensor,
        v_BNMD: Tensor,
        *,
        mask_BNLM: Tensor | None,
        scores: int,
        dtype: torch.dtype,
    ) -> None:
        """`scores` of one block at most; `mask_BNLM` broadcasts; `dtype` is the result's."""
        batch, heads, queries, width = q_BNLD.shape
        self.q_BNLD, self.k_BNMD, self.v_BNMD = q_BNLD, k_BNMD, v_BNMD
        shape = (batch, heads, queries, k_BNMD.shape[2])
        self.bias_BNLM = None if mask_BNLM is None else bias_of(mask_BNLM, q_BNLD.dtype).expand(shape)
        # as the next projection reads it
        out_BLND = q_BNLD.new_empty((batch, queries, heads, width), dtype=dtype)
        self.out_BNLD = out_BLND.transpose(1, 2)
        self.total_BNL = q_BNLD.new_empty(batch, heads, queries)
        self.size = block_size(heads, queries, shape[3], scores=scores, most_queries=QUERIES)

    def places(self) -> list[Place]:
        """All blocks, those that read the same keys one after another."""
        batch, heads, queries, _ = self.q_BNLD.shape
        H, Q = self.size
        return [(b, n, at) for b in range(batch) for n in range(0, heads, H) for at in range(0, queries, Q)]

    def compute(self, places: Sequence[Place]) -> None:
        """These blocks."""
        (H, Q), keys, width = self.size, self.k_BNMD.shape[2], self.q_BNLD.shape[3]
        kept = buffer(H * Q * (keys + width), self.q_BNLD.dtype)
        scores, mixed = kept[: H * Q * keys], kept[H * Q * keys :]
        scale = 1 / math.sqrt(width)
        for (b, n), same in groupby(places, itemgetter(0, 1)):
            some = (b, slice(n, n + H))
            q_HLD, k_HMD, v_HMD, out_HLD, total_HL = (
                x[some] for x in (self.q_BNLD, self.k_BNMD, self.v_BNMD, self.out_BNLD, self.total_BNL)
            )
            bias_HLM = None if self.bias_BNLM is None else self.bias_BNLM[some]
            for _, _, at in same:
                q_HQD, total_HQ = q_HLD[:, at : at + Q], total_HL[:, at : at + Q]
                h, queries = total_HQ.shape
                s_HQM = scores[: h * queries * keys].view(h, queries, keys)
                x_HQD = mixed[: h * queries * width].view(h, queries, width)
                if bias_HLM is None:
                    # What was there counts for nothing, NaN or not.
                    torch.baddbmm(s_HQM, q_HQD, k_HMD.mT, beta=0, alpha=scale, out=s_HQM)
                else:
                    torch.baddbmm(bias_HLM[:, at : at + Q], q_HQD, k_HMD.mT, alpha=scale, out=s_HQM)
                s_HQM.exp_()
                torch.sum(s_HQM, 2, out=total_HQ)
                torch.bmm(s_HQM, v_HMD, out=x_HQD)
                torch.div(x_HQD, total_HQ.unsqueeze(2), out=out_HLD[:, at : at + Q])

    def result(self) -> tuple[Tensor, Tensor]:
        """After all are computed: (B, N, L, D), and the sums of the exponentials of every picture."""
        return self.out_BNLD, self.total_BNL.flatten(1)


def block_size(heads: int, queries: int, keys: int, *, scores: int, most_queries: int) -> tuple[int, int]:
    """H and Q: about as many queries in each block, a multiple of 16."""
    most = max(16, min(most_queries, scores // keys) // 16 * 16)
    parts = math.ceil(queries / most)
    Q = min(queries, math.ceil(queries / parts / 16) * 16)
    return max(1, min(heads, scores // (Q * keys))), Q


def bias_of(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What to add to scores: nothing where the mask is true, else -∞."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)
