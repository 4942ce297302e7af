"""3×3 convolutions while they train, all three products of each by Winograd's way (`diffloom.nn.winograd`).

The gradient of the input is such a convolution too, with the kernel turned about its middle; that of the kernel is
`diffloom.nn.winograd_slope`.

Legend: B batch, I channels in, O channels out, H height, W width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from diffloom.nn.winograd import CHANNELS, WORTHWHILE, convolved_in_bands, winograd_fits
from diffloom.nn.winograd_slope import weight_slope
from diffloom.nn.winograd_taps import kernels, turned_kernels

PLACE = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)
"""Of the kernel, as torch's operator is told: stride, padding, dilation, not transposed, no rows more, one group."""


ASKED = "trained_by_winograd"
"""The attribute of a convolution that says whether its trainer wants Winograd's way."""


def train_by_winograd(module: nn.Module) -> None:
    """Have `convolved` compute a module's convolutions by Winograd's way in each step of training that it is for.

    Nothing does so unasked: what is faster differs between machines, and a run keeps to one way wherever it goes on.
    """
    for part in module.modules():
        if type(part) is nn.Conv2d and winograd_fits(part) and part.padding == (1, 1):
            setattr(part, ASKED, True)


def convolved(x_BIHW: Tensor, conv: nn.Conv2d) -> Tensor:
    """`conv(x)`, in a step of training by Winograd's way where it was asked for (`train_by_winograd`) and there is
    enough to compute: the same and its gradients, to rounding."""
    if not trains_by_winograd(conv, x_BIHW):
        plain_BOHW: Tensor = conv(x_BIHW)
        return plain_BOHW
    out_BOHW: Tensor = Convolution.apply(x_BIHW, conv.weight, conv.bias)  # type: ignore[no-untyped-call]
    return out_BOHW


def trains_by_winograd(conv: nn.Conv2d, x_BIHW: Tensor) -> bool:
    """Whether this is the moment for it: where it was asked for and `trains_exactly`, on even pictures with enough
    channels and enough to multiply."""
    height, width = x_BIHW.shape[2:]
    return (
        getattr(conv, ASKED, False)
        and trains_exactly(conv, x_BIHW)
        and type(conv.weight) is nn.Parameter  # what only has a shape need not be taken in bands
        and not (height % 2 or width % 2)
        and min(conv.in_channels, conv.out_channels) >= CHANNELS
        and x_BIHW.numel() * conv.out_channels >= 4 * WORTHWHILE
        and x_BIHW.is_contiguous(memory_format=torch.channels_last)
    )


def trains_exactly(layer: nn.Conv2d | nn.GroupNorm, x_BCHW: Tensor) -> bool:
    """Whether a layer may be computed in another way because this is a step of training in float32 on a CPU."""
    return (
        x_BCHW.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and trains_unobserved(layer, x_BCHW)
    )


def trains_unobserved(layer: nn.Conv2d | nn.GroupNorm, x_BCHW: Tensor) -> bool:
    """Whether this is a step of training on a CPU, with weights of float32, where nobody would see another way.

    That is not where somebody listens to the layer's calls or has made it another one, where torch compiles or
    transforms functions or differentiates forward, and where the weights are tensors with an arithmetic of their own.
    """
    from diffloom.inference.observed import has_hooks, own_methods

    return (
        not torch.compiler.is_compiling()
        and type(layer) in (nn.Conv2d, nn.GroupNorm)
        and layer.training
        and torch.is_grad_enabled()
        and not is_traceable_wrapper_subclass(layer.weight)
        and layer.weight.requires_grad
        and x_BCHW.device.type == layer.weight.device.type == "cpu"
        and layer.weight.dtype == torch.float32
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
        and not (has_hooks(layer) or own_methods(layer))
    )


class Convolution(torch.autograd.Function):
    """(B, I, H, W), (O, I, 3, 3), (O) or None → (B, O, H, W): of stride 1 and padding 1, height and width even.

    It keeps what torch's keeps. A gradient of its gradient is torch's.
    """

    @staticmethod
    def forward(ctx: Any, x_BIHW: Tensor, weight_OI33: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_BIHW, weight_OI33)
        ctx.has_bias = bias_O is not None
        pixels = x_BIHW[:, 0].numel()
        return convolved_in_bands(x_BIHW, kernels(weight_OI33, squares=pixels // 4), bias_O)

    @staticmethod
    def backward(ctx: Any, slope_BOHW: Tensor) -> tuple[Tensor | None, ...]:
        x_BIHW, weight_OI33 = ctx.saved_tensors
        wants = ctx.needs_input_grad
        if torch.is_grad_enabled():
            wanted = [wants[0], wants[1], ctx.has_bias and wants[2]]
            sizes = [len(weight_OI33)] if ctx.has_bias else None
            found: tuple[Tensor | None, ...] = torch.ops.aten.convolution_backward(
                slope_BOHW, x_BIHW, weight_OI33, sizes, *PLACE, wanted
            )
            return found
        return (
            convolved_in_bands(slope_BOHW, turned_kernels(weight_OI33)) if wants[0] else None,
            weight_slope(x_BIHW, slope_BOHW) if wants[1] else None,
            slope_BOHW.sum((0, 2, 3)) if ctx.has_bias and wants[2] else None,
        )
