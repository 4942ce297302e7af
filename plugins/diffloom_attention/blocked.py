"""Attention on a CPU, so many queries at once that their scores stay in the cache.

torch's kernel for the CPU multiplies small blocks, in which heads of width 8 cost as much as heads of 16. Here a block
is two products that a BLAS library is good at with an exponential between them, in buffers that every block uses again.

Legend: B batch, N heads, L queries, M keys, D head width, S sums of exponentials.
"""

from __future__ import annotations

import logging
from functools import cache

import torch
from torch import Tensor

from diffloom.nn import in_shares, torch_attention
from diffloom_attention.blocks import Blocks

logger = logging.getLogger("diffloom")


def blocked_attention(
    q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
) -> Tensor:
    """softmax(q·kᵀ / √D)·v without gradients, in float32 where the operands are halves.

    No maximum is taken off the scores before their exponentials: where these leave the range in which that makes no
    difference, torch's kernel computes the picture. Pictures do not depend on each other.
    """
    dtype = torch.promote_types(q_BNLD.dtype, torch.float32)
    q, k, v = (operand.detach().to(dtype) for operand in (q_BNLD, k_BNMD, v_BNMD))
    blocks = Blocks(q, k, v, mask_BNLM=mask_BNLM, dtype=q_BNLD.dtype)
    in_shares(blocks.compute, blocks.places())
    out_BNLD, total_BS = blocks.result()
    for row in _inexact(total_BS, v):
        _tell_of_large_scores()
        one = slice(row, row + 1)
        mask = mask_BNLM if mask_BNLM is None or len(mask_BNLM) == 1 else mask_BNLM[one]
        out_BNLD[one] = torch_attention(q_BNLD[one], k_BNMD[one], v_BNMD[one], mask_BNLM=mask)
    return out_BNLD


def _inexact(total_BS: Tensor, v_BNMD: Tensor) -> list[int]:
    """The pictures where an exponential that counts was too small for the type, or a product with a value too large."""
    limits = torch.finfo(total_BS.dtype)
    least = limits.tiny / limits.eps * v_BNMD.shape[2]
    lowest, highest = total_BS.aminmax()
    if lowest.item() > least and highest.item() < limits.max**0.5:
        return []  # the type holds the product with any value whose square it holds
    v_BX = v_BNMD.flatten(1)
    largest_B = torch.maximum(v_BX.amax(1), -v_BX.amin(1)).clamp_min(1)
    ends = zip(*(x_B.tolist() for x_B in (total_BS.amin(1), total_BS.amax(1), largest_B)), strict=True)
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
