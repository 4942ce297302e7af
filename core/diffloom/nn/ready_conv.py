"""Convolutions as samples are drawn with them: what stands around one is computed with it.

Legend: B batch, I channels in, O channels out, H height, W width; the digits are sizes of kernels.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional


class ReadyConv2d(nn.Module):
    """A convolution's faster form: (B, I, H, W) → (B, O, H', W'), from the same weights, which do not change.

    `forward(x)` is conv(x). What stands around a convolution in a network can be asked for with it, and costs less so:
    `silu` activates x first, which is the convolution's to overwrite then; `shift_BO`, one row for each picture or one
    for all, is added to all pixels of a channel; `plus_BOHW` is added to the result.

    Where gradients may be wanted and where torch compiles, all of it is computed the plain way.
    """

    is_sorted: ClassVar[bool] = True
    """Whether the weights that it computes with are in an order of their own, so that how the plain ones lie in memory
    does not matter."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride, self.padding = _pair(conv.stride), _pair(conv.padding)
        self.dilation, self.groups = _pair(conv.dilation), conv.groups
        self.bias = conv.bias

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """The convolution's own weight, (O, I, height, width)."""

    @abstractmethod
    def computed(
        self, x_BIHW: Tensor, bias: Tensor | None, plus_BOHW: Tensor | None, *, silu: bool = False
    ) -> Tensor:
        """conv(silu(x)) with another bias, plus what is given, in fresh memory. x may be overwritten with `silu`."""

    def forward(
        self,
        x_BIHW: Tensor,
        *,
        silu: bool = False,
        shift_BO: Tensor | None = None,
        plus_BOHW: Tensor | None = None,
    ) -> Tensor:
        """conv(silu(x)) + shift + plus, with what of it is asked for."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self._plain(functional.silu(x_BIHW) if silu else x_BIHW, shift_BO, plus_BOHW)
        bias = self.bias
        if shift_BO is not None and len(shift_BO) == 1:
            bias, shift_BO = shift_BO[0] if bias is None else bias + shift_BO[0], None
        out_BOHW = self.computed(x_BIHW, bias, plus_BOHW, silu=silu)
        return out_BOHW if shift_BO is None else out_BOHW.add_(shift_BO[:, :, None, None])

    def _plain(self, x_BIHW: Tensor, shift_BO: Tensor | None, plus_BOHW: Tensor | None) -> Tensor:
        out_BOHW = functional.conv2d(
            x_BIHW, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        if shift_BO is not None:
            out_BOHW = out_BOHW + shift_BO[:, :, None, None]
        return out_BOHW if plus_BOHW is None else plus_BOHW + out_BOHW


class PlainConv2d(ReadyConv2d):
    """torch's convolution, with everything else done in the memory of its result."""

    is_sorted = False

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(conv)
        self.kernel = conv.weight

    @property
    def weight(self) -> Tensor:
        return self.kernel

    def computed(
        self, x_BIHW: Tensor, bias: Tensor | None, plus_BOHW: Tensor | None, *, silu: bool = False
    ) -> Tensor:
        if silu:
            x_BIHW = functional.silu(x_BIHW, inplace=True)
        out_BOHW = functional.conv2d(
            x_BIHW, self.kernel, bias, self.stride, self.padding, self.dilation, self.groups
        )
        return out_BOHW if plus_BOHW is None else out_BOHW.add_(plus_BOHW)


def ready_conv(conv: nn.Conv2d) -> ReadyConv2d:
    """The form of a convolution that is fastest here, with all of torch's threads or in one that has rows alone."""
    from diffloom.nn.winograd import WinogradConv2d, winograd_pays

    here = torch.get_num_threads()
    threads = {count for count in (1, here) if winograd_pays(conv, threads=count)}
    return WinogradConv2d(conv, _direct, threads) if threads else _direct(conv)


def _direct(conv: nn.Conv2d) -> ReadyConv2d:
    from diffloom.nn.packed_conv import PackedConv2d, packing_pays

    return PackedConv2d(conv) if packing_pays(conv) else PlainConv2d(conv)


def _pair(value: str | int | tuple[int, ...]) -> list[int]:
    assert isinstance(value, tuple), value  # what nn.Conv2d keeps but for paddings told by a word
    return list(value)
