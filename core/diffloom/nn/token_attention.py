"""Attention of a transformer block, to its own tokens or to a condition's.

Legend: B batch, L queries, M keys, N heads, D head width, C channels, T width of the condition's tokens.
"""

from __future__ import annotations

from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.nn.attention import AttentionKernel, torch_attention
from diffloom.nn.heads import head_count


class TokenAttention(nn.Module):
    """Every token attends to every other: (B, L, C) → (B, L, C) (Vaswani et al. 2017, section 3.2.2).

    Queries, keys and values come from one projection without a bias, its rows in that order. No normalisation and
    no shortcut: those are the block's. Raises ValueError when the heads do not fill the channels.
    """

    def __init__(
        self,
        *,
        channels: int,
        heads: int | None = None,
        head_channels: int | None = None,
        kernel: AttentionKernel = torch_attention,
    ) -> None:
        super().__init__()
        self.heads = head_count(channels=channels, heads=heads, head_channels=head_channels)
        self.kernel = kernel
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def forward(self, x_BLC: Tensor) -> Tensor:
        out_BLC: Tensor = self.out(self.mixed(x_BLC))
        return out_BLC

    def mixed(self, x_BLC: Tensor) -> Tensor:
        """What the heads see, side by side, before the last projection."""
        q_BNLD, k_BNLD, v_BNLD = split_heads(self.qkv(x_BLC), parts=3, heads=self.heads)
        return self.kernel(q_BNLD, k_BNLD, v_BNLD).transpose(1, 2).flatten(2)


class CrossAttention(nn.Module):
    """Every token attends to the condition's: (B, L, C) → (B, L, C) (Rombach et al. 2022, section 3.3).

    `token_width` is the width T of `condition.tokens_BLD`, whose keys and values come from one projection, its rows in
    that order; where `condition.mask_BL` is false, nothing is looked at. Queries, keys and values have no bias. Keys
    and values depend on the condition alone: `remember` gives them, and `forward` takes them from `condition.memory`
    where that holds them for this layer. Raises ValueError when the heads do not fill the channels.
    """

    def __init__(
        self,
        *,
        channels: int,
        token_width: int,
        heads: int | None = None,
        head_channels: int | None = None,
        kernel: AttentionKernel = torch_attention,
    ) -> None:
        super().__init__()
        self.heads = head_count(channels=channels, heads=heads, head_channels=head_channels)
        self.kernel = kernel
        self.q = nn.Linear(channels, channels, bias=False)
        self.kv = nn.Linear(token_width, 2 * channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def remember(self, tokens_BMT: Tensor) -> tuple[Tensor, ...]:
        """The tokens' keys and values, each (B, N, M, D) and, as they are read often, one after another in memory."""
        parts = split_heads(self.kv(tokens_BMT), parts=2, heads=self.heads)
        return tuple(part_BNMD.contiguous() for part_BNMD in parts)

    def forward(self, x_BLC: Tensor, condition: Condition) -> Tensor:
        out_BLC: Tensor = self.out(self.mixed(x_BLC, condition))
        return out_BLC

    def mixed(self, x_BLC: Tensor, condition: Condition) -> Tensor:
        """What the heads see, side by side, before the last projection."""
        assert condition.tokens_BLD is not None, "cross-attention without tokens"
        if self in condition.memory:
            k_BNMD, v_BNMD = condition.memory[self]
        else:
            k_BNMD, v_BNMD = split_heads(self.kv(condition.tokens_BLD), parts=2, heads=self.heads)
        (q_BNLD,) = split_heads(self.q(x_BLC), parts=1, heads=self.heads)
        mask_BNLM = None if condition.mask_BL is None else condition.mask_BL[:, None, None, :]
        return self.kernel(q_BNLD, k_BNMD, v_BNMD, mask_BNLM=mask_BNLM).transpose(1, 2).flatten(2)


def split_heads(fused_BLX: Tensor, *, parts: int, heads: int) -> tuple[Tensor, ...]:
    """(B, L, parts·N·D) → `parts` tensors of (B, N, L, D)."""
    batch, length, _ = fused_BLX.shape
    return fused_BLX.reshape(batch, length, parts, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
