"""The kernel that was measured to be the fastest. Legend: B batch, N heads, L queries, M keys, D head width."""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.nn import torch_attention
from diffloom_attention.blocked import blocked_attention
from diffloom_attention.padded import padded_attention
from diffloom_attention.rules import blocks_pay, filling_pays

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def chosen_attention(
    q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
) -> Tensor:
    """On a CPU what a rule says: blocks that stay in the cache, where nobody wants gradients, or torch's kernel among
    keys that are filled up. Else torch's kernel."""
    operands = (q_BNLD, k_BNMD, v_BNMD)
    if q_BNLD.device.type == "cpu" and q_BNLD.dtype in DTYPES:
        if blocks_pay(q_BNLD.shape, k_BNMD.shape) and not (
            torch.is_grad_enabled() and any(operand.requires_grad for operand in operands)
        ):
            if torch.compiler.is_compiling():
                out_BNLD: Tensor = opaque_attention(*operands, mask_BNLM)
                return out_BNLD
            if all(
                type(operand) is Tensor for operand in operands
            ):  # and none that only pretends to have numbers
                return blocked_attention(*operands, mask_BNLM=mask_BNLM)
        if filling_pays(q_BNLD.shape, k_BNMD.shape):
            return padded_attention(*operands, mask_BNLM=mask_BNLM)
    return torch_attention(*operands, mask_BNLM=mask_BNLM)


def _as_one_operation(q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, mask_BNLM: Tensor | None) -> Tensor:
    """`blocked_attention` as one operation for torch.compile, which would otherwise unroll its blocks."""
    return blocked_attention(q_BNLD, k_BNMD, v_BNMD, mask_BNLM=mask_BNLM)


# Its schema is written out because `custom_op` looks through all imported modules for the place where it was called.
torch.library.define(
    "diffloom::blocked_attention",
    "(Tensor q_BNLD, Tensor k_BNMD, Tensor v_BNMD, Tensor? mask_BNLM) -> Tensor",
)
torch.library.impl("diffloom::blocked_attention", "CompositeExplicitAutograd", _as_one_operation)
opaque_attention = torch.ops.diffloom.blocked_attention.default


@torch.library.impl("diffloom::blocked_attention", "Meta")
def _form_of(q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, mask_BNLM: Tensor | None) -> Tensor:
    return q_BNLD.new_empty(q_BNLD.transpose(1, 2).shape).transpose(1, 2)
