"""Attention that computes otherwise for a while. Oracles: softmax with the identity for its map; the layers."""

from __future__ import annotations

import pytest
import torch

from diffloom.nn import (
    SelfAttention,
    TokenAttention,
    TransformerBlock,
    attending,
    identity_attention,
    self_attentions,
    torch_attention,
)


def test_the_identity_is_what_a_mask_of_the_diagonal_gives() -> None:
    """A query that may look at its own key alone has a softmax of one number."""
    q, k, v = torch.randn(3, 2, 3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    diagonal = torch.eye(5, dtype=torch.bool)
    torch.testing.assert_close(
        identity_attention(q, k, v), torch_attention(q, k, v, mask_BNLM=diagonal), rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("block", [SelfAttention, TokenAttention])
def test_within_the_context_a_block_computes_with_the_other_kernel(block: type) -> None:
    torch.manual_seed(0)
    layer = block(channels=8, heads=2, **({"norm_groups": 4} if block is SelfAttention else {})).double()
    torch.nn.init.normal_(layer.out.weight)
    x = (
        torch.randn(2, 8, 3, 3, dtype=torch.float64)
        if block is SelfAttention
        else torch.randn(2, 9, 8).double()
    )
    plain = layer(x).detach()
    with attending([layer], identity_attention):
        blind = layer(x).detach()
    tokens = layer.norm(x).flatten(2).transpose(1, 2) if block is SelfAttention else x
    values = layer.out(layer.qkv(tokens)[..., 16:])  # queries, keys, values of 8 each
    wanted = x + values.transpose(1, 2).view_as(x) if block is SelfAttention else values
    torch.testing.assert_close(blind, wanted, rtol=0, atol=1e-12)
    assert torch.equal(layer(x), plain)
    assert float((plain - blind).abs().max()) > 0.01


def test_the_kernel_comes_back_after_an_error() -> None:
    layer = TokenAttention(channels=8)
    with pytest.raises(RuntimeError, match="stop"), attending([layer], identity_attention):
        raise RuntimeError("stop")
    assert layer.kernel is torch_attention


def test_only_self_attention_is_found() -> None:
    """Of a transformer block the first attention, and not the one that reads the condition's tokens."""
    block = TransformerBlock(channels=8, token_width=6)
    assert list(self_attentions(block)) == ["attend"]
    assert self_attentions(torch.nn.Linear(2, 2)) == {}
