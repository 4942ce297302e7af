"""Attention on a CPU, so many queries at once that their scores stay in the cache.

torch's kernel for the CPU multiplies small blocks, in which heads of width 8 cost as much as heads of 16, and
takes the last M mod 16 keys of a softmax one by one. Here a block is two products that a BLAS library is good at
with an exponential between them, in buffers that every block uses again.

Legend: B batch, N heads, L queries, M keys, D head width; of one block, H heads and Q queries.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

import torch
from torch import Tensor

from diffloom.nn import torch_attention
from diffloom_attention.buffer import Buffer
from diffloom_attention.shares import in_shares

SCORES = 2**18
"""Of one block, for each thread that computes it: 1 MiB in float32, which a core's second cache holds beside the
block's operands.
"""
QUERIES = 256
"""Of one block at most: for few keys, more do not help, and push the results out of the cache."""
APART = 2**22
"""Scores in all, from which threads compute blocks apart rather than each block together: two milliseconds' work."""

buffer = Buffer()
logger = logging.getLogger("diffloom")

Place: TypeAlias = tuple[int, int, int]
"""Of a block: its picture, its first head, its first query."""


def blocked_attention(
    q_BNLD: Tensor,
    k_BNMD: Tensor,
    v_BNMD: Tensor,
    *,
    mask_BNLM: Tensor | None = None,
    keys_first: bool = False,
) -> Tensor:
    """softmax(q·kᵀ / √D)·v without gradients, in float32 where the operands are halves.

    `keys_first` lays the scores of one key side by side rather than those of one query, which suits narrow heads; the
    result is the same to rounding. No maximum is taken off the scores before their exponentials: where these leave the
    range in which that makes no difference, torch's kernel computes the picture. Pictures do not depend on each other.
    """
    batch, heads, queries, width = q_BNLD.shape
    dtype = torch.promote_types(q_BNLD.dtype, torch.float32)
    q, k, v = (operand.detach().to(dtype) for operand in (q_BNLD, k_BNMD, v_BNMD))
    mask = None if mask_BNLM is None else mask_BNLM.expand(batch, heads, queries, k.shape[2])
    out_BNLD = q_BNLD.new_empty(batch, queries, heads, width).transpose(
        1, 2
    )  # as the next projection reads it
    total_BNL = q.new_empty(batch, heads, queries)
    threads = torch.get_num_threads()
    apart = threads > 1 and total_BNL.numel() * k.shape[2] >= APART
    blocks = Blocks(
        q,
        k,
        v,
        bias_BNLM=None if mask is None or mask_BNLM is None else _bias(mask_BNLM, dtype).expand(mask.shape),
        out_BNLD=out_BNLD,
        total_BNL=total_BNL,
        keys_first=keys_first,
        scores=SCORES if apart else SCORES * threads,
    )
    if apart:
        in_shares(blocks.compute, blocks.places())
    else:
        blocks.compute(blocks.places())
    for row in _inexact(total_BNL, v):
        _tell_of_large_scores()
        one = slice(row, row + 1)
        out_BNLD[one] = torch_attention(
            q_BNLD[one], k_BNMD[one], v_BNMD[one], mask_BNLM=None if mask is None else mask[one]
        )
    return out_BNLD


@dataclass(frozen=True)
class Blocks:
    """One call's operands and results."""

    q_BNLD: Tensor
    k_BNMD: Tensor
    v_BNMD: Tensor
    bias_BNLM: Tensor | None
    out_BNLD: Tensor
    total_BNL: Tensor
    """The sums of every query's exponentials."""
    keys_first: bool
    scores: int
    """Of one block, at most."""

    @property
    def size(self) -> tuple[int, int]:
        """H and Q: about as many queries in each block, a multiple of 16."""
        _, heads, queries, _ = self.q_BNLD.shape
        keys = self.k_BNMD.shape[2]
        most = max(16, min(QUERIES, self.scores // keys) // 16 * 16)
        parts = math.ceil(queries / most)
        Q = min(queries, math.ceil(queries / parts / 16) * 16)
        return max(1, min(heads, self.scores // (Q * keys))), Q

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
            k_HDM, v_HDM = k_HMD.mT, v_HMD.mT
            for _, _, at in same:
                q_HQD, total_HQ = q_HLD[:, at : at + Q], total_HL[:, at : at + Q]
                bias_HQM = None if bias_HLM is None else bias_HLM[:, at : at + Q]
                h, queries = total_HQ.shape
                s, x = scores[: h * queries * keys], mixed[: h * queries * width]
                if self.keys_first:
                    s_HMQ, bias_HMQ = s.view(h, keys, queries), None if bias_HQM is None else bias_HQM.mT
                    _exponentials(k_HMD, q_HQD.mT, scale, bias_HMQ, out=s_HMQ)
                    torch.sum(s_HMQ, 1, out=total_HQ)
                    x_HQD = torch.bmm(v_HDM, s_HMQ, out=x.view(h, width, queries)).mT
                else:
                    s_HQM = s.view(h, queries, keys)
                    _exponentials(q_HQD, k_HDM, scale, bias_HQM, out=s_HQM)
                    torch.sum(s_HQM, 2, out=total_HQ)
                    x_HQD = torch.bmm(s_HQM, v_HMD, out=x.view(h, queries, width))
                torch.div(x_HQD, total_HQ.unsqueeze(2), out=out_HLD[:, at : at + Q])


def _exponentials(a: Tensor, b: Tensor, scale: float, bias: Tensor | None, *, out: Tensor) -> None:
    """exp(scale·a·b + bias)."""
    if bias is None:
        # What was there counts for nothing, NaN or not.
        torch.baddbmm(out, a, b, beta=0, alpha=scale, out=out)
    else:
        torch.baddbmm(bias, a, b, alpha=scale, out=out)
    out.exp_()


def _bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What to add to scores: nothing where the mask is true, else -∞."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)


def _inexact(total_BNL: Tensor, v_BNMD: Tensor) -> list[int]:
    """The pictures where an exponential that counts was too small for the type, or a product with a value too large."""
    limits, axes = torch.finfo(total_BNL.dtype), (1, 2, 3)
    least = limits.tiny / limits.eps * v_BNMD.shape[2]
    lowest, highest = total_BNL.aminmax()
    if lowest.item() > least and highest.item() < limits.max**0.5:
        return []  # the type holds the product with any value whose square it holds
    largest_B = torch.maximum(v_BNMD.amax(axes), -v_BNMD.amin(axes)).clamp_min(1)
    ends = zip(
        *(x_B.tolist() for x_B in (total_BNL.amin((1, 2)), total_BNL.amax((1, 2)), largest_B)), strict=True
    )
    return [
        row
        for row, (lowest, highest, value) in enumerate(ends)
        if not (lowest > least and highest < limits.max / 2 / value)  # nor where anything is NaN
    ]


@cache
def _tell_of_large_scores() -> None:
    """Once."""
    logger.info(
        "attention: torch's kernel computes pictures whose scores are too large for exponentials as they are"
    )
