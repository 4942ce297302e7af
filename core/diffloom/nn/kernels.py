"""Other ways to attend, for a while: what guidance does to a network that it does not own.

Legend: B batch, N heads, L queries, M keys, D head width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from torch import Tensor, nn

from diffloom.nn.attention import AttentionKernel, SelfAttention, torch_attention
from diffloom.nn.token_attention import TokenAttention
from diffloom.nn.turns import calls

Attention: TypeAlias = SelfAttention | TokenAttention


def self_attentions(network: nn.Module) -> dict[str, Attention]:
    """Every self-attention of a network that is made of these blocks, by its dotted name, in their order."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, Attention)}


def attend_with(module: nn.Module, kernel: AttentionKernel) -> None:
    """Have every attention in a module compute with this kernel, but those that were given one of their own."""
    for layer in module.modules():
        if getattr(layer, "kernel", None) is torch_attention:
            layer.kernel = kernel  # type: ignore[assignment]  # a module of any class that has one


@contextmanager
def attending(layers: Iterable[Attention], kernel: AttentionKernel) -> Iterator[None]:
    """Within it, these attentions compute with another kernel, for this thread: other threads' samples wait for theirs.

    Whoever calls a network itself, and not for samples, does not wait.
    """
    with calls.alone():
        before = [(layer, layer.kernel) for layer in layers]
        try:
            for layer, _ in before:
                layer.kernel = kernel
            yield
        finally:
            for layer, own in before:
                layer.kernel = own


def identity_attention(
    q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
) -> Tensor:
    """The kernel of a query that sees its own value alone: softmax(q·kᵀ / √D) replaced by the identity (Ahn et al.
    2024). Only for self-attention, where L = M.
    """
    return v_BNMD
