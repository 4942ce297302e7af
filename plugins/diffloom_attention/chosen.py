"""The kernel that was measured to be the fastest. Legend: B batch, N heads, L queries, M keys, D head width."""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.nn import torch_attention
from diffloom_attention.blocked import blocked_attention
from diffloom_attention.rules import rule_of

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def chosen_attention(
    q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
) -> Tensor:
    """Blocks that stay in the cache on a CPU where a rule says so and nobody wants gradients; else torch's kernel."""
    operands = (q_BNLD, k_BNMD, v_BNMD)
    if (
        q_BNLD.device.type == "cpu"
        and q_BNLD.dtype in DTYPES
        and (rule := rule_of(q_BNLD.shape, k_BNMD.shape)) is not None
        and not (torch.is_grad_enabled() and any(operand.requires_grad for operand in operands))
    ):
        if torch.compiler.is_compiling():
            out_BNLD: Tensor = opaque_attention(*operands, mask_BNLM, rule.keys_first)
            return out_BNLD
        if all(
            type(operand) is Tensor for operand in operands
        ):  # and none that only pretends to have numbers
            return blocked_attention(*operands, mask_BNLM=mask_BNLM, keys_first=rule.keys_first)
    return torch_attention(*operands, mask_BNLM=mask_BNLM)


def _as_one_operation(
    q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, mask_BNLM: Tensor | None, keys_first: bool
) -> Tensor:
    """`blocked_attention` as one operation for torch.compile, which would otherwise unroll its blocks."""
    return blocked_attention(q_BNLD, k_BNMD, v_BNMD, mask_BNLM=mask_BNLM, keys_first=keys_first)


# Its schema is written out because `custom_op` looks through all imported modules for the place where it was called.
torch.library.define(
    "diffloom::blocked_attention",
    "(Tensor q_BNLD, Tensor k_BNMD, Tensor v_BNMD, Tensor? mask_BNLM, bool keys_first) -> Tensor",
)
torch.library.impl("diffloom::blocked_attention", "CompositeExplicitAutograd", _as_one_operation)
opaque_attention = torch.ops.diffloom.blocked_attention.default


@torch.library.impl("diffloom::blocked_attention", "Meta")
def _form_of(
    q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, mask_BNLM: Tensor | None, keys_first: bool
) -> Tensor:
    return q_BNLD.new_empty(q_BNLD.transpose(1, 2).shape).transpose(1, 2)
