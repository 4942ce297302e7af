"""Attention by xformers. Legend: B batch, N heads, L queries, M keys, D head width."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from diffloom.errors import DiffloomError
from diffloom.nn import torch_attention

ALIGNMENT = 8
"""Numbers that the rows of a bias are a multiple of in memory, whatever their length: xformers' kernels ask for it."""

logger = logging.getLogger("diffloom")


class MemoryEfficientAttention:
    """xformers' `memory_efficient_attention` (Rabe & Staats 2021), and torch's kernel for what that cannot compute."""

    def __init__(self, compute: Callable[..., Tensor]) -> None:
        self._compute = compute
        self._refused: set[tuple[Any, ...]] = set()

    def __call__(
        self, q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, *, mask_BNLM: Tensor | None = None
    ) -> Tensor:
        """(B, N, L, D), which lies in memory as (B, L, N, D)."""
        case = (q_BNLD.device.type, q_BNLD.dtype, q_BNLD.shape[3], mask_BNLM is None)
        if case not in self._refused:
            bias_BNLM = None if mask_BNLM is None else aligned_bias(mask_BNLM, q_BNLD, keys=k_BNMD.shape[2])
            operands = (_tokens_first(operand) for operand in (q_BNLD, k_BNMD, v_BNMD))
            try:
                return self._compute(*operands, attn_bias=bias_BNLM).transpose(1, 2)
            except NotImplementedError as refusal:  # how xformers says that it has no kernel for these
                self._refused.add(case)
                logger.warning(
                    "attention: xformers has no kernel for heads of width %d in %s on %s%s; torch's does these (%s)",
                    q_BNLD.shape[3],
                    str(q_BNLD.dtype).removeprefix("torch."),
                    q_BNLD.device.type,
                    "" if mask_BNLM is None else " with a mask",
                    _reasons(refusal),
                )
        return torch_attention(q_BNLD, k_BNMD, v_BNMD, mask_BNLM=mask_BNLM)


@cache
def xformers_attention() -> MemoryEfficientAttention:
    """The kernel. Raises DiffloomError, naming the command, where xformers is not installed or does not fit torch."""
    try:
        from xformers.ops import memory_efficient_attention
    except ImportError as error:
        raise DiffloomError(
            f"attention: xformers needs the library xformers, which cannot be imported ({error}): "
            "`pip install 'diffloom[xformers]'`, or `attention: auto`"
        ) from error
    return MemoryEfficientAttention(memory_efficient_attention)


def aligned_bias(mask_BNLM: Tensor, q_BNLD: Tensor, *, keys: int) -> Tensor:
    """0 where the mask is true, else -∞: (B, N, L, M) in the queries' type, in memory for no more than the mask's own
    rows, each padded to a multiple of `ALIGNMENT`.
    """
    rows = mask_BNLM.shape[:-1]
    padded = q_BNLD.new_zeros(*rows, -(-keys // ALIGNMENT) * ALIGNMENT)
    padded[..., :keys].masked_fill_(~mask_BNLM, -torch.inf)
    return padded[..., :keys].expand(*q_BNLD.shape[:3], keys)


def _tokens_first(x_BNLD: Tensor) -> Tensor:
    """(B, L, N, D), each head's numbers side by side."""
    x_BLND = x_BNLD.transpose(1, 2)
    return x_BLND if x_BLND.stride(3) == 1 else x_BLND.contiguous()


def _reasons(refusal: Exception) -> str:
    """xformers' own, in a line: a kernel and what it does not have, one after another."""
    lines = [line.strip() for line in str(refusal).splitlines()]
    first = next((at for at, line in enumerate(lines) if line.endswith("because:")), 0)
    return " ".join(lines[first:])
