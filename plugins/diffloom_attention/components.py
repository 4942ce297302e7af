"""The configurations of the kernels. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.kinds import Attention

if TYPE_CHECKING:
    from diffloom.nn import AttentionKernel


class Auto(Attention):
    """The fastest kernel that was measured for a device, a type and a shape.

    torch's own on a GPU, and where no rule says that another is faster. On a CPU, keys that are few and no multiple of
    16 (a prompt's 77 tokens) are filled up with some that nobody looks at, which makes torch's kernel 1.1 to 2 times as
    fast. Narrow heads (8 channels or less) with many scores are computed in blocks that stay in the cache where nobody
    wants gradients, 1.15 to 1.6 times as fast. Both are the same to rounding.
    """

    name = "auto"

    def build(self) -> AttentionKernel:
        from diffloom_attention.chosen import chosen_attention

        return chosen_attention


class SDPA(Attention):
    """torch's own, which picks flash, memory-efficient or plain attention."""

    name = "sdpa"

    def build(self) -> AttentionKernel:
        from diffloom.nn import torch_attention

        return torch_attention


class XFormers(Attention):
    """Memory-efficient attention of the library xformers, for NVIDIA and AMD GPUs.

    Needs the extra: `pip install 'diffloom[xformers]'`. Where xformers has no kernel (on a CPU, in float64, for heads
    whose width is no multiple of 8 in half precision), torch's computes, and a line in the log says so once.
    """

    name = "xformers"

    def build(self) -> AttentionKernel:
        from diffloom_attention.memory_efficient import xformers_attention

        return xformers_attention()


class Math(Attention):
    """Two products and a softmax, as the paper writes it (Vaswani et al. 2017, eq. 1).

    The slowest, and the one to compare others with. Where the scores do not fit into the memory that is free, it takes
    so many queries at a time that they do.
    """

    name = "math"

    def build(self) -> AttentionKernel:
        from diffloom_attention.plain import plain_attention

        return plain_attention
