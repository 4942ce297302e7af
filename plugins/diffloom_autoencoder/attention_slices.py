"""Attention in bounded memory. Legend: B batch, N heads, L queries, M keys, D head width."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from diffloom.nn import torch_attention


@dataclass(frozen=True)
class SlicedAttention:
    """The same attention, for so many queries at once: no kernel then holds more than queries × M scores."""

    queries: int

    def __call__(
        self, q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
    ) -> Tensor:
        """(B, N, L, D)."""
        assert mask_BNLM is None, "pixels of one picture see each other"
        parts = torch.split(q_BNLD, self.queries, dim=2)
        return torch.cat([torch_attention(part_BNLD, k_BNMD, v_BNMD) for part_BNLD in parts], dim=2)
