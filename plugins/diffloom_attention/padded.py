"""torch's attention among few keys, filled up to whole vectors of the processor.

torch's kernel for the CPU takes the softmax of a query sixteen keys at a time, and the last M mod 16 of them one by
one: of a prompt's 77 tokens 13, which cost more than the 64 before them.

Legend: B batch, N heads, L queries, M keys, D head width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from diffloom.nn import torch_attention

VECTOR = 16
"""Keys that are taken at once, in float32 with AVX-512; a multiple of what other processors take."""


def padded_attention(
    q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
) -> Tensor:
    """softmax(q·kᵀ / √D)·v, with keys behind the others that no query looks at: the same to rounding."""
    keys = k_BNMD.shape[2]
    missing = -keys % VECTOR
    if mask_BNLM is None:
        mask_BNLM = torch.ones(1, 1, 1, keys, dtype=torch.bool, device=k_BNMD.device)
    return torch_attention(
        q_BNLD,
        pad(k_BNMD, (0, 0, 0, missing)),
        pad(v_BNMD, (0, 0, 0, missing)),
        mask_BNLM=pad(mask_BNLM.expand(*mask_BNLM.shape[:3], keys), (0, missing)),
    )
