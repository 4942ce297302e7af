"""Attention on a CPU, so many queries at once that their scores stay in the cache.

torch's kernel for the CPU multiplies small blocks, in which heads of width 8 cost as much as heads of 16, and
takes the last M mod 16 keys of a softmax one by one. Here a block is two products that a BLAS library is good at
with an exponential between them, in buffers that every block uses again.

Legend: B batch, N heads, L queries, M keys, D head width, H heads of one block, Q queries of one block.
"""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor

from diffloom.nn import torch_attention

SCORES = 2**18
"""Scores of one block: 1 MiB in float32, which a core's second cache holds with the block's operands."""
QUERIES = 256
"""At most so many queries in a block: for few keys, more of them do not help and push the results out of the cache."""
LOWEST, HIGHEST = 1e-18, 1e18
"""Sums of exponentials that are as exact without the row's maximum taken off: far from both ends of float32's range, so
that no term which counts is lost and no product with a value overflows."""

log = logging.getLogger(__name__)
_told: set[str] = set()


def blocked_attention(
    q_BNLD: Tensor,
    k_BNMD: Tensor,
    v_BNMD: Tensor,
    *,
    mask_BNLM: Tensor | None = None,
    keys_first: bool = False,
) -> Tensor:
    """softmax(q·kᵀ / √D)·v, without gradients; in float32 where the operands are halves. Same result for either layout.

    `keys_first` keeps the scores of one key side by side rather than those of one query, which suits narrow heads. A
    picture is computed the same alone and in a batch. Where exponentials leave the range in which they need no maximum
    taken off, torch's kernel computes that picture.
    """
    batch, heads, queries, width = q_BNLD.shape
    dtype = torch.promote_types(q_BNLD.dtype, torch.float32)
    q, k, v = (operand.to(dtype) for operand in (q_BNLD, k_BNMD, v_BNMD))
    bias = None if mask_BNLM is None else _bias(mask_BNLM, dtype).expand(batch, heads, queries, k.shape[2])
    out_BLND = q_BNLD.new_empty(batch, queries, heads, width)  # as the next projection reads it
    for row, out_LND in enumerate(out_BLND):
        bias_NLM = None if bias is None else bias[row]
        if not _fill(out_LND.transpose(0, 1), q[row], k[row], v[row], bias_NLM, keys_first=keys_first):
            _tell_of_large_scores()
            one = slice(row, row + 1)
            mask = None if mask_BNLM is None else mask_BNLM.expand(batch, heads, queries, -1)[one]
            out_LND.copy_(
                torch_attention(q_BNLD[one], k_BNMD[one], v_BNMD[one], mask_BNLM=mask)[0].transpose(0, 1)
            )
    return out_BLND.transpose(1, 2)


def _fill(
    out_NLD: Tensor, q_NLD: Tensor, k_NMD: Tensor, v_NMD: Tensor, bias_NLM: Tensor | None, *, keys_first: bool
) -> bool:
    """One picture's attention, block by block; whether all of it is exact."""
    heads, length, width = q_NLD.shape
    keys = k_NMD.shape[1]
    H, Q = _block(heads, length, keys)
    scores, mixed = q_NLD.new_empty(H * Q * keys), q_NLD.new_empty(H * Q * width)
    scale = 1 / math.sqrt(width)
    for some in range(0, heads, H):
        q_HLD, k_HMD, v_HMD, out_HLD = (x[some : some + H] for x in (q_NLD, k_NMD, v_NMD, out_NLD))
        bias_HLM = None if bias_NLM is None else bias_NLM[some : some + H]
        k_HDM, v_HDM = k_HMD.mT, v_HMD.mT
        total_HL = q_HLD.new_empty(q_HLD.shape[:2])
        for at in range(0, length, Q):
            q_HQD, out_HQD, total_HQ = (x[:, at : at + Q] for x in (q_HLD, out_HLD, total_HL))
            bias_HQM = None if bias_HLM is None else bias_HLM[:, at : at + Q]
            h, n, _ = q_HQD.shape
            if keys_first:
                s_HMQ = scores[: h * keys * n].view(h, keys, n)
                _exponentials(k_HMD, q_HQD.mT, scale, None if bias_HQM is None else bias_HQM.mT, out=s_HMQ)
                torch.sum(s_HMQ, 1, out=total_HQ)
                x_HQD = torch.bmm(v_HDM, s_HMQ, out=mixed[: h * width * n].view(h, width, n)).mT
            else:
                s_HQM = scores[: h * n * keys].view(h, n, keys)
                _exponentials(q_HQD, k_HDM, scale, bias_HQM, out=s_HQM)
                torch.sum(s_HQM, 2, out=total_HQ)
                x_HQD = torch.bmm(s_HQM, v_HMD, out=mixed[: h * n * width].view(h, n, width))
            torch.div(x_HQD, total_HQ.unsqueeze(2), out=out_HQD)
        least, most = torch.aminmax(total_HL)
        if not (least.item() > LOWEST and most.item() < HIGHEST):  # nor where they are NaN
            return False
    return True


def _exponentials(a: Tensor, b: Tensor, scale: float, bias: Tensor | None, *, out: Tensor) -> None:
    """exp(scale·a·b + bias)."""
    if bias is None:
        torch.baddbmm(
            out, a, b, beta=0, alpha=scale, out=out
        )  # what was there counts for nothing, NaN or not
    else:
        torch.baddbmm(bias, a, b, alpha=scale, out=out)
    out.exp_()


def _block(heads: int, queries: int, keys: int) -> tuple[int, int]:
    """How many heads and queries a block has: about as many queries in each, a multiple of 16."""
    most = max(16, min(QUERIES, SCORES // keys) // 16 * 16)
    parts = math.ceil(queries / most)
    at_once = min(queries, math.ceil(queries / parts / 16) * 16)
    return max(1, min(heads, SCORES // (at_once * keys))), at_once


def _bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What to add to scores: nothing where the mask is true, else -∞."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)


def _tell_of_large_scores() -> None:
    if "large" not in _told:
        _told.add("large")
        log.info(
            "attention: scores beyond ±41 need their maximum taken off first; torch's kernel computes these"
        )
