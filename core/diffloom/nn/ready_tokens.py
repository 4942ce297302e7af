"""Transformer blocks as samples are drawn with them on a CPU: what a block adds to its tokens, added where these lie.

Legend: B batch, L tokens, C channels, I numbers in, H hidden width, T = B·L rows, of which R at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.nn.block import Block
from diffloom.nn.geglu import GEGLU
from diffloom.nn.token_attention import CrossAttention, TokenAttention

if TYPE_CHECKING:
    from diffloom.nn.transformer import TransformerBlock

HIDDEN = 2**17
"""Hidden numbers that a feed-forward computes at once, twice: 1 MiB in float32, which stays in a core's cache."""
ROWS = 256
"""At least so many rows at once: with fewer, products are slow."""


class ReadyTransformerBlock(Block):
    """`TransformerBlock`, which overwrites the tokens it is given, but where gradients are wanted."""

    def __init__(self, plain: TransformerBlock) -> None:
        super().__init__()
        self.norm1, self.attend, self.norm2, self.read, self.norm3, self.feed = (
            plain.norm1,
            plain.attend,
            plain.norm2,
            plain.read,
            plain.norm3,
            plain.feed,
        )

    def forward(self, x_BLC: Tensor, condition: Condition) -> Tensor:
        """(B, L, C) → (B, L, C)."""
        x_BLC = added(x_BLC, self.attend.mixed(self.norm1(x_BLC)), self.attend.out)
        x_BLC = added(x_BLC, self.read.mixed(self.norm2(x_BLC), condition), self.read.out)
        return fed(x_BLC, self.norm3(x_BLC), self.feed)


def ready_transformer_block(block: nn.Module) -> nn.Module:
    """The form of a block; one that is, or holds, anything of another class keeps its own."""
    from diffloom.nn.transformer import TransformerBlock

    is_known = (
        type(block) is TransformerBlock
        and (type(block.attend), type(block.read), type(block.feed))
        == (TokenAttention, CrossAttention, GEGLU)
        and all(type(norm) is nn.LayerNorm for norm in (block.norm1, block.norm2, block.norm3))
        and all(
            type(layer) is nn.Linear
            for layer in (block.attend.out, block.read.out, block.feed.expand, block.feed.contract)
        )
    )
    if not is_known:
        return block
    assert isinstance(block, TransformerBlock)
    return ReadyTransformerBlock(block)


def added(x_BLC: Tensor, h_BLI: Tensor, linear: nn.Linear) -> Tensor:
    """x + linear(h), in the memory of x."""
    if _is_plain():
        out_BLC: Tensor = x_BLC + linear(h_BLI)
        return out_BLC
    if linear.bias is not None:
        x_BLC.add_(linear.bias)
    x_BLC.view(-1, x_BLC.shape[2]).addmm_(h_BLI.reshape(-1, h_BLI.shape[2]), linear.weight.t())
    return x_BLC


def fed(x_BLC: Tensor, h_BLC: Tensor, feed: GEGLU) -> Tensor:
    """x + feed(h), in the memory of x; so many rows at once that what is hidden stays in the cache."""
    if _is_plain():
        out_BLC: Tensor = x_BLC + feed(h_BLC)
        return out_BLC
    value_HC, gate_HC = feed.expand.weight.chunk(2)
    value_H, gate_H = feed.expand.bias.chunk(2)
    x_TC, h_TC = (tokens.view(-1, tokens.shape[2]) for tokens in (x_BLC, h_BLC))
    x_TC += feed.contract.bias
    rows = min(len(x_TC), max(ROWS, HIDDEN // len(gate_H)))
    values_RH, gates_RH = x_TC.new_empty(2, rows, len(gate_H)).unbind(0)
    for x_RC, h_RC in zip(torch.split(x_TC, rows), torch.split(h_TC, rows), strict=True):
        value_RH, hidden_RH = values_RH[: len(x_RC)], gates_RH[: len(x_RC)]
        torch.mm(h_RC, gate_HC.t(), out=hidden_RH)
        torch.ops.aten.gelu_(hidden_RH.add_(gate_H))
        torch.mm(h_RC, value_HC.t(), out=value_RH)
        hidden_RH.mul_(value_RH.add_(value_H))
        x_RC.addmm_(hidden_RH, feed.contract.weight.t())
    return x_BLC


def _is_plain() -> bool:
    """Whether what is given may be needed again, or torch's compiler writes it in its own way."""
    return torch.is_grad_enabled() or torch.compiler.is_compiling()
