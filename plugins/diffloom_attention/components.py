"""The configurations of the kernels. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.kinds import Attention

if TYPE_CHECKING:
    from diffloom.nn import AttentionKernel


class Auto(Attention):
    """The fastest kernel that was measured for a device, a type and a shape."""

    name = "auto"

    def build(self) -> AttentionKernel:
        from diffloom.nn import torch_attention

        return torch_attention


class SDPA(Attention):
    """torch's own, which picks flash, memory-efficient or plain attention."""

    name = "sdpa"

    def build(self) -> AttentionKernel:
        from diffloom.nn import torch_attention

        return torch_attention


class Math(Attention):
    """Two products and a softmax, as the paper writes it (Vaswani et al. 2017, eq. 1)."""

    name = "math"

    def build(self) -> AttentionKernel:
        from diffloom_attention.plain import plain_attention

        return plain_attention
