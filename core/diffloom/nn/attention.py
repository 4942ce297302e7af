"""Attention, and who computes it. Legend: B batch, N heads, L queries, M keys, D head width, C channels."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn.block import Block
from diffloom.nn.heads import head_count
from diffloom.nn.initial import zeroed
from diffloom.nn.signal import NO_SIGNAL, Signal


class AttentionKernel(Protocol):
    """softmax(q·kᵀ / √D)·v (Vaswani et al. 2017, eq. 1), however it is computed; blocks are given one."""

    def __call__(
        self, q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
    ) -> Tensor:
        """(B, N, L, D). `mask_BNLM` broadcasts, and is true where a query may look at a key."""
        ...


def torch_attention(
    q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
) -> Tensor:
    """torch's own, which picks flash, memory-efficient or plain attention by device, dtype and shape."""
    return functional.scaled_dot_product_attention(q_BNLD, k_BNMD, v_BNMD, attn_mask=mask_BNLM)


class SelfAttention(Block):
    """Every pixel attends to every other; the result is added to the input (Ho et al. 2020, appendix B).

    There are `heads` heads, or as many as have `head_channels` channels each; one if neither is said. Queries, keys
    and values come from one projection, its rows in that order. Raises ValueError when the heads do not fill the
    channels.
    """

    def __init__(
        self,
        *,
        channels: int,
        heads: int | None = None,
        head_channels: int | None = None,
        norm_groups: int = 32,
        norm_eps: float = 1e-6,
        kernel: AttentionKernel = torch_attention,
    ) -> None:
        super().__init__()
        self.heads = head_count(channels=channels, heads=heads, head_channels=head_channels)
        self.kernel = kernel
        self.norm = nn.GroupNorm(norm_groups, channels, eps=norm_eps)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = zeroed(nn.Linear, channels, channels)

    def forward(self, x_BCHW: Tensor, signal: Signal = NO_SIGNAL) -> Tensor:
        tokens_BLC = self.norm(x_BCHW).flatten(2).transpose(1, 2)
        qkv_BL3ND = self.qkv(tokens_BLC).unflatten(2, (3, self.heads, -1))
        q_BNLD, k_BNLD, v_BNLD = qkv_BL3ND.permute(2, 0, 3, 1, 4).unbind(0)
        mixed_BNLD = self.kernel(q_BNLD, k_BNLD, v_BNLD)
        out_BLC = self.out(mixed_BNLD.transpose(1, 2).flatten(2))
        out_BCHW: Tensor = x_BCHW + out_BLC.transpose(1, 2).unflatten(2, x_BCHW.shape[2:])
        return out_BCHW
