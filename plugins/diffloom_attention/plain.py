"""Attention as it is written. Legend: B batch, N heads, L queries, M keys, D head width."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from diffloom.nn import available_bytes

UNASKED_BYTES = 2**26
"""Scores that take less are computed without asking how much memory there is."""
COPIES = 3
"""How often scores are held at once: scaled or masked, and the softmax before and after it is divided by its sum."""


def plain_attention(
    q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
) -> Tensor:
    """softmax(q·kᵀ / √D)·v, all scores held at once where they fit into memory, else those of as many queries as do.

    Slices are computed again on the way back, so that gradients hold no more than one either.
    """
    batch, heads, queries, _ = q_BNLD.shape
    keys = k_BNMD.shape[2]
    row_bytes = COPIES * batch * heads * keys * q_BNLD.element_size()
    at_once = queries
    if row_bytes * queries > UNASKED_BYTES and (free := available_bytes(q_BNLD.device)) is not None:
        at_once = max(1, min(queries, free // 2 // row_bytes))
    if at_once == queries:
        return _mixed(q_BNLD, k_BNMD, v_BNMD, mask_BNLM)
    parts = []
    for at in range(0, queries, at_once):
        mask = mask_BNLM
        if mask is not None and mask.shape[2] > 1:
            mask = mask[:, :, at : at + at_once]
        parts.append(
            checkpoint(_mixed, q_BNLD[:, :, at : at + at_once], k_BNMD, v_BNMD, mask, use_reentrant=False)
        )
    return torch.cat(parts, dim=2)


def _mixed(q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, mask_BNLM: Tensor | None) -> Tensor:
    """All of it at once."""
    scores_BNLM = (q_BNLD / math.sqrt(q_BNLD.shape[3])) @ k_BNMD.transpose(2, 3)
    if mask_BNLM is not None:
        scores_BNLM = scores_BNLM.masked_fill(~mask_BNLM, -torch.inf)
    return scores_BNLM.softmax(3) @ v_BNMD
