"""A text transformer computed for its numbers alone: all rows at once, in a few buffers, from the same weights.

Legend: N rows, L tokens, R = N·L, D width, W width of the hidden layer, H heads, I numbers in, O numbers out.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom_clip.library import open_clip

LONGEST_SUM = 768
"""Terms of one product in float32 on CPUs. MKL cuts longer sums by itself, and where it does so depends on the number
of rows and of threads, and with it every row's rounding (of 1024 terms and with two threads: as soon as there are two
rows of 77)."""

QUICK = 1.702
"""x·sigmoid(1.702·x) is OpenAI's GELU (Hendrycks and Gimpel 2016, section 2), and silu(1.702·x) / 1.702: the products
before and behind it multiply by that for nothing."""


def computes_in_place(text: nn.Module) -> bool:
    """Whether `Blocks` may compute it: every part is what open_clip builds, and nobody looks into it or trains it."""
    if torch.is_grad_enabled() or text.cls_emb is not None:
        return False
    device = next(text.parameters()).device.type
    if torch.is_autocast_enabled(device):
        return False
    watched = any(part._forward_hooks or part._forward_pre_hooks for part in text.modules())
    return not watched and all(_is_usual(block) for block in cast("Any", text).transformer.resblocks)


def _is_usual(block: nn.Module) -> bool:
    own, part = open_clip().transformer, cast("Any", block)
    if type(block) is not own.ResidualAttentionBlock or type(part.attn) is not nn.MultiheadAttention:
        return False
    return (
        type(part.mlp.c_fc) is type(part.mlp.c_proj) is nn.Linear
        and type(part.mlp.gelu) in (nn.GELU, own.QuickGELU)
        and type(part.ls_1) is type(part.ls_2) is nn.Identity
    )


class Blocks:
    """What computes blocks of one shape on N rows of L tokens. It holds one product of either width."""

    def __init__(self, block: nn.Module, *, like_NLD: Tensor, causal: bool) -> None:
        self.rows, self.length, width = like_NLD.shape
        self.causal = causal
        places = self.rows * self.length
        self._qkv_RX = like_NLD.new_empty(places, 3 * width)
        self._hidden_RW = like_NLD.new_empty(places, cast("Any", block).mlp.c_fc.out_features)
        self._step = self.length if like_NLD.device.type == "cpu" else places
        """Places whose hidden layer is activated at once: on CPUs so few that they are in the cache."""

    def advance(self, x_NLD: Tensor, block: nn.Module) -> None:
        """x becomes what comes out of the block: attention, then a feed-forward, each added to what went in."""
        part = cast("Any", block)
        x_RD = x_NLD.flatten(0, 1)
        _multiply(part.ln_1(x_RD), part.attn.in_proj_weight, out_RO=self._qkv_RX)
        self._qkv_RX.add_(part.attn.in_proj_bias)
        mixed_RD = self._mixed(part.attn.num_heads)
        _multiply(mixed_RD, part.attn.out_proj.weight, out_RO=x_RD.add_(part.attn.out_proj.bias), adds=True)
        wide, narrow = part.mlp.c_fc, part.mlp.c_proj
        scale = 1.0 if isinstance(part.mlp.gelu, nn.GELU) else QUICK
        _multiply(part.ln_2(x_RD), wide.weight, out_RO=self._hidden_RW, scale=scale)
        for some_RW in torch.split(self._hidden_RW, self._step):
            _activate(some_RW.add_(wide.bias, alpha=scale), part.mlp.gelu)
        _multiply(self._hidden_RW, narrow.weight, out_RO=x_RD.add_(narrow.bias), adds=True, scale=1 / scale)

    def _mixed(self, heads: int) -> Tensor:
        """Softmax(q·kᵀ/√(D/H))·v of the queries, keys and values that stand in the buffer: (R, D)."""
        qkv_NL3HX = self._qkv_RX.view(self.rows, self.length, 3, heads, self._qkv_RX.shape[1] // (3 * heads))
        q_NHLX, k_NHLX, v_NHLX = qkv_NL3HX.permute(2, 0, 3, 1, 4).unbind(0)
        mixed_NHLX = functional.scaled_dot_product_attention(q_NHLX, k_NHLX, v_NHLX, is_causal=self.causal)
        return mixed_NHLX.transpose(1, 2).flatten(2).flatten(0, 1)


def _multiply(
    x_RI: Tensor, weight_OI: Tensor, *, out_RO: Tensor, adds: bool = False, scale: float = 1.0
) -> None:
    """out = scale·x·Wᵀ; added to what is there already if it `adds`."""
    is_cut = x_RI.device.type == "cpu" and x_RI.dtype == torch.float32
    step = LONGEST_SUM if is_cut else x_RI.shape[1]
    for some_RI, some_OI in zip(torch.split(x_RI, step, 1), torch.split(weight_OI, step, 1), strict=True):
        torch.addmm(out_RO, some_RI, some_OI.t(), beta=int(adds), alpha=scale, out=out_RO)
        adds = True


def _activate(x_RW: Tensor, activation: nn.Module) -> None:
    """The activation of every number, in its place; the quick one of numbers that are multiplied by `QUICK`, and so is
    what it gives."""
    if isinstance(activation, nn.GELU):
        torch.ops.aten.gelu_(x_RW, approximate=activation.approximate)
    else:
        torch.ops.aten.silu_(x_RW)
