"""The blocks of an attention of narrow heads, the scores of one key side by side.

For a head of width 8 a block's products cost little more than to read and write its scores, and what is around them
counts: so the operands are laid out once for all blocks, the last row of the values is ones, whose product is the sum
of the exponentials, and all results are divided by theirs at once.

Legend: B batch, N heads, L queries, M keys, D head width, C = D + 1; of one block, H heads and Q queries; P its place
among the blocks of a head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import torch
from torch import Tensor
from torch.nn import functional

from diffloom_attention.blocks import Place, bias_of, block_size, buffer

QUERIES = 128
"""Of one block at most. Of 64 to 1024, 128 were fastest among 1024 keys and among 77, by a few percent."""


class NarrowBlocks:
    """One call's operands and results. No gradients."""

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
        keys = k_BNMD.shape[2]
        self.size = block_size(heads, queries, keys, scores=scores, most_queries=QUERIES)
        _, Q = self.size
        parts = math.ceil(queries / Q)
        missing = parts * Q - queries  # the last blocks are filled up, and their last results left out
        if missing:
            q_BNLD = functional.pad(q_BNLD, (0, 0, 0, missing))
        self.queries, self.dtype = queries, dtype
        self.q_BPNDQ = q_BNLD.new_empty(batch, parts, heads, width, Q)
        q_BNPQD = q_BNLD.reshape(batch, heads, parts, Q, width)
        torch.mul(q_BNPQD.permute(0, 2, 1, 4, 3), 1 / math.sqrt(width), out=self.q_BPNDQ)
        self.k_BNMD = k_BNMD.contiguous()
        self.v_BNCM = v_BNMD.new_empty(batch, heads, width + 1, keys)
        self.v_BNCM[:, :, :-1] = v_BNMD.mT
        self.v_BNCM[:, :, -1] = 1
        self.bias_BNLM = None
        if mask_BNLM is not None:
            if mask_BNLM.shape[2] > 1:
                mask_BNLM = functional.pad(mask_BNLM, (0, 0, 0, missing), value=True)
            bias_BNLM = bias_of(mask_BNLM, q_BNLD.dtype)
            self.bias_BNLM = bias_BNLM.expand(batch, heads, parts * Q, keys)
        self.mixed_BPNCQ = q_BNLD.new_empty(batch, parts, heads, width + 1, Q)

    def places(self) -> list[Place]:
        """All blocks, those that read the same keys one after another."""
        batch, parts, heads = self.q_BPNDQ.shape[:3]
        H, Q = self.size
        return [(b, n, at * Q) for b in range(batch) for n in range(0, heads, H) for at in range(parts)]

    def compute(self, places: Sequence[Place]) -> None:
        """These blocks."""
        (H, Q), keys = self.size, self.k_BNMD.shape[2]
        scores = buffer(H * keys * Q, self.k_BNMD.dtype)
        for (b, n), same in groupby(places, itemgetter(0, 1)):
            some = slice(n, n + H)
            k_HMD, v_HCM = self.k_BNMD[b, some], self.v_BNCM[b, some]
            s_HMQ = scores[: len(k_HMD) * keys * Q].view(len(k_HMD), keys, Q)
            for _, _, at in same:
                place = (b, at // Q, some)
                if self.bias_BNLM is None:
                    torch.bmm(k_HMD, self.q_BPNDQ[place], out=s_HMQ)
                else:
                    bias_HMQ = self.bias_BNLM[b, some, at : at + Q].mT
                    torch.baddbmm(bias_HMQ, k_HMD, self.q_BPNDQ[place], out=s_HMQ)
                s_HMQ.exp_()
                torch.bmm(v_HCM, s_HMQ, out=self.mixed_BPNCQ[place])

    def result(self) -> tuple[Tensor, Tensor]:
        """After all are computed: (B, N, L, D), and the sums of the exponentials of every picture."""
        batch, parts, heads, channels, Q = self.mixed_BPNCQ.shape
        mixed_BPNDQ, total_BPN1Q = self.mixed_BPNCQ[:, :, :, :-1], self.mixed_BPNCQ[:, :, :, -1:]
        mixed_BPNDQ.div_(total_BPN1Q)  # before they are laid out anew: where both are read in order
        out_BPQND = mixed_BPNDQ.new_empty((batch, parts, Q, heads, channels - 1), dtype=self.dtype)
        out_BPQND.copy_(mixed_BPNDQ.permute(0, 1, 4, 2, 3))
        out_BLND = out_BPQND.flatten(1, 2)[:, : self.queries].contiguous()  # as the next projection reads it
        return out_BLND.transpose(1, 2), total_BPN1Q.flatten(1)
