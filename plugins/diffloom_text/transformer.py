"""A transformer over text. Legend: B batch, L tokens, C width, N heads, D head width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn import AttentionKernel, Block, torch_attention

EMBEDDING_STD = 0.02
"""Deviation of fresh embeddings (Radford et al. 2018, section 4.1)."""


class TextTransformer(nn.Module):
    """Entries of a vocabulary → a token for each: (B, L) int64 → (B, L, width).

    The text encoder of Rombach et al. 2022, appendix E.2.1: embeddings of entries and positions, `layers` blocks that
    normalise before they compute, and a last normalisation. Heads need not fill the width: theirs is 1280 wide, with 8
    heads of 64. `length` is the largest L.
    """

    def __init__(
        self,
        *,
        vocabulary: int,
        length: int,
        width: int,
        layers: int,
        heads: int,
        head_channels: int,
        kernel: AttentionKernel = torch_attention,
    ) -> None:
        super().__init__()
        self.entries = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        for embedding in (self.entries, self.positions):
            nn.init.normal_(embedding.weight, std=EMBEDDING_STD)
        self.blocks = nn.ModuleList(
            TextBlock(width=width, heads=heads, head_channels=head_channels, kernel=kernel)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, ids_BL: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """Where `mask_BL` is false, nothing is looked at; every row has a true one."""
        x_BLC = self.entries(ids_BL) + self.positions.weight[: ids_BL.shape[1]]
        for block in self.blocks:
            x_BLC = block(x_BLC, mask_BL)
        out_BLC: Tensor = self.norm(x_BLC)
        return out_BLC


class TextBlock(Block):
    """Tokens attend to each other, then go through a feed-forward of four times the width, each beside a shortcut."""

    def __init__(self, *, width: int, heads: int, head_channels: int, kernel: AttentionKernel) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attend = TextAttention(width=width, heads=heads, head_channels=head_channels, kernel=kernel)
        self.norm2 = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x_BLC: Tensor, mask_BL: Tensor | None) -> Tensor:
        x_BLC = x_BLC + self.attend(self.norm1(x_BLC), mask_BL)
        out_BLC: Tensor = x_BLC + self.narrow(functional.gelu(self.widen(self.norm2(x_BLC))))
        return out_BLC


class TextAttention(nn.Module):
    """Self-attention of heads · head_channels channels between two projections, the first without a bias."""

    def __init__(self, *, width: int, heads: int, head_channels: int, kernel: AttentionKernel) -> None:
        super().__init__()
        self.heads = heads
        self.kernel = kernel
        self.qkv = nn.Linear(width, 3 * heads * head_channels, bias=False)
        self.out = nn.Linear(heads * head_channels, width)

    def forward(self, x_BLC: Tensor, mask_BL: Tensor | None) -> Tensor:
        qkv_BL3ND = self.qkv(x_BLC).unflatten(2, (3, self.heads, -1))
        q_BNLD, k_BNLD, v_BNLD = qkv_BL3ND.permute(2, 0, 3, 1, 4).unbind(0)
        mask_BNLM = None if mask_BL is None else mask_BL[:, None, None, :]
        mixed_BNLD = self.kernel(q_BNLD, k_BNLD, v_BNLD, mask_BNLM=mask_BNLM)
        out_BLC: Tensor = self.out(mixed_BNLD.transpose(1, 2).flatten(2))
        return out_BLC
