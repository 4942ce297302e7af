"""A group norm and the activation behind it while they train: what lies between the two is not kept.

torch keeps the norm's input and its output, which the activation's gradient is made of. The output is one product and
one sum away from the input, so that a network of residual blocks keeps a quarter less when it is computed again.

Legend: B batch, C channels, H height, W width, G groups; the digit 1 a single row or column.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.nn.trained_conv import trains_exactly


def activated(x_BCHW: Tensor, norm: nn.GroupNorm) -> Tensor:
    """`silu(norm(x))`, in a step of training with less memory: the same and its gradients, to rounding."""
    # somebody may have put a module of another class in its place
    if not (isinstance(norm, nn.GroupNorm) and norm.affine and trains_exactly(norm, x_BCHW)):
        return functional.silu(norm(x_BCHW))
    out_BCHW: Tensor = ActivatedNorm.apply(x_BCHW, norm.weight, norm.bias, norm)  # type: ignore[no-untyped-call]
    return out_BCHW


class ActivatedNorm(torch.autograd.Function):
    """(B, C, H, W), the norm's weight and bias, the norm → (B, C, H, W). A gradient of its gradient is torch's."""

    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, weight_C: Tensor, bias_C: Tensor, norm: nn.GroupNorm) -> Tensor:
        ctx.groups, ctx.eps = norm.num_groups, norm.eps
        batch, channels, height, width = x_BCHW.shape
        h_BCHW, mean_BG, rstd_BG = torch.native_group_norm(
            x_BCHW, weight_C, bias_C, batch, channels, height * width, ctx.groups, ctx.eps
        )
        ctx.save_for_backward(x_BCHW, weight_C, bias_C, mean_BG, rstd_BG)
        return functional.silu(h_BCHW, inplace=True)

    @staticmethod
    def backward(ctx: Any, slope_BCHW: Tensor) -> tuple[Tensor | None, ...]:
        x_BCHW, weight_C, bias_C, mean_BG, rstd_BG = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (*_differentiable(ctx, slope_BCHW), None)
        batch, channels, height, width = x_BCHW.shape
        scale_BGD = rstd_BG[:, :, None] * weight_C.view(ctx.groups, -1)
        shift_BGD = bias_C.view(ctx.groups, -1) - mean_BG[:, :, None] * scale_BGD
        scale_BC11, shift_BC11 = (t.reshape(batch, channels, 1, 1) for t in (scale_BGD, shift_BGD))
        h_BCHW = torch.addcmul(shift_BC11, x_BCHW, scale_BC11)
        torch.ops.aten.silu_backward.grad_input(slope_BCHW, h_BCHW, grad_input=h_BCHW)
        # All three are asked for, whichever is wanted: torch 2.13 ends the process where pixels lie one by one and x's
        # is not.
        sizes = (batch, channels, height * width, ctx.groups)
        slopes: tuple[Tensor, ...] = torch.ops.aten.native_group_norm_backward(
            h_BCHW, x_BCHW, mean_BG, rstd_BG, weight_C, *sizes, [True] * 3
        )
        return (*slopes, None)


def _differentiable(ctx: Any, slope_BCHW: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients as functions of what they are made of."""
    given = ctx.saved_tensors[:3]
    wanted = [tensor for tensor, wants in zip(given, ctx.needs_input_grad, strict=False) if wants]
    with torch.enable_grad():
        x_BCHW, weight_C, bias_C = given
        out_BCHW = functional.silu(functional.group_norm(x_BCHW, ctx.groups, weight_C, bias_C, ctx.eps))
        slopes = iter(torch.autograd.grad(out_BCHW, wanted, slope_BCHW, create_graph=True))
    return tuple(next(slopes) if wants else None for wants in ctx.needs_input_grad[:3])
