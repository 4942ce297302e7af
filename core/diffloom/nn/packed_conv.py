"""oneDNN's convolutions with their weights in the layout that it computes in.

torch calls oneDNN on CPUs, and has it sort the weights anew at every call, which for small pictures takes as long as a
third of the convolution. The operators that torch's compiler uses when weights are frozen take them sorted already, and
add another picture while the result is in the cache. They are no public part of torch, so all of it is in this file,
and `packing_fault` finds out by trying whether they are there.

Legend: B batch, I channels in, O channels out, H height, W width; the digits are sizes of kernels.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn.ready_conv import ReadyConv2d

WORTHWHILE = 64 * 128
"""Channels in times channels out: with fewer, a call of oneDNN's operator, some 20 µs more than torch's own, costs what
sorting does."""


class PackedConv2d(ReadyConv2d):
    """A convolution with sorted weights, which take the memory of the plain ones. Only where there is no fault.

    oneDNN sorts them in another way for pictures of another size, and takes a hundred times as long where it is given
    the other's (of 192 channels on 8×8 pixels 20 ms, and 0.3). So they are sorted for the size that is seen.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(conv)
        self._sorted: tuple[torch.Size | None, Tensor] = None, conv.weight

    @property
    def weight(self) -> Tensor:
        size, weight = self._sorted
        return weight if size is None else weight.to_dense()

    def _for(self, x_BIHW: Tensor) -> Tensor:
        """The weights in the layout for pictures of this size."""
        size, weight = self._sorted
        if size != x_BIHW.shape[2:]:
            size = x_BIHW.shape[2:]
            weight = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, self.padding, self.stride, self.dilation, self.groups, [1, *x_BIHW.shape[1:]]
            )
            self._sorted = size, weight  # at once, for other threads
        return weight

    def computed(
        self, x_BIHW: Tensor, bias: Tensor | None, plus_BOHW: Tensor | None, *, silu: bool = False
    ) -> Tensor:
        if silu:
            x_BIHW = functional.silu(x_BIHW, inplace=True)
        where, weight = (self.padding, self.stride, self.dilation, self.groups), self._for(x_BIHW)
        operator = torch.ops.mkldnn._convolution_pointwise
        out_BOHW: Tensor = (
            operator(x_BIHW, weight, bias, *where, "none", [], "")
            if plus_BOHW is None
            else operator.binary(x_BIHW, plus_BOHW, weight, bias, *where, "add", 1.0, None, [], None)
        )
        return out_BOHW


@cache
def packing_fault(dtype: torch.dtype) -> str | None:
    """Why sorted weights cannot be had in this type on this machine; None where they can, and give what torch gives."""
    conv = nn.Conv2d(16, 16, 3, padding=1, dtype=torch.float32).to(dtype)
    with torch.no_grad():
        x_BIHW = torch.linspace(-1, 1, 16 * 25).view(1, 16, 5, 5).to(dtype)
        try:
            packed = PackedConv2d(conv)
            found = packed.computed(x_BIHW, conv.bias, x_BIHW)
            plain_OI33 = packed.weight
        except (RuntimeError, AttributeError, TypeError, NotImplementedError) as error:
            return str(error).splitlines()[0]
        expected = functional.conv2d(x_BIHW.double(), conv.weight.double(), padding=1)
        assert conv.bias is not None
        expected += conv.bias.double()[:, None, None] + x_BIHW.double()
        tolerance = 100 * torch.finfo(dtype).eps
        if not torch.equal(plain_OI33, conv.weight) or (found.double() - expected).abs().max() > tolerance:
            return "oneDNN's operators give another result"
    return None


def packing_pays(conv: nn.Conv2d) -> bool:
    """Whether a convolution is faster with sorted weights."""
    weight = conv.weight
    return (
        weight.device.type == "cpu"
        and conv.in_channels * conv.out_channels >= WORTHWHILE
        and packing_fault(weight.dtype) is None
    )
