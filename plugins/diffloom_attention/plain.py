"""Attention as it is written. Legend: B batch, N heads, L queries, M keys, D head width."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def plain_attention(
    q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
) -> Tensor:
    """softmax(q·kᵀ / √D)·v, the scores all held at once."""
    scores_BNLM = q_BNLD @ k_BNMD.transpose(2, 3) / math.sqrt(q_BNLD.shape[3])
    if mask_BNLM is not None:
        scores_BNLM = scores_BNLM.masked_fill(~mask_BNLM, -torch.inf)
    return scores_BNLM.softmax(3) @ v_BNMD
