"""The form in which transformers on pixels draw samples. Legend: B batch, C channels, H height, W width, L = H·W."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from diffloom.nn.packed_linear import ready_linear
from diffloom.nn.ready_conv import ReadyConv2d, ready_conv
from diffloom.nn.ready_tokens import added, ready_transformer_block
from diffloom.nn.signal import Signal

if TYPE_CHECKING:
    from diffloom.nn.transformer import SpatialTransformer


class ReadySpatialTransformer(nn.Module):
    """`SpatialTransformer`, its weights packed, and what it adds to the picture added within its last layer.

    It takes the blocks over and changes their layers: it is made of a copy's.
    """

    def __init__(self, plain: SpatialTransformer) -> None:
        super().__init__()
        self.norm = plain.norm
        self.enter, self.leave = (_of_pixels(layer) for layer in (plain.enter, plain.leave))
        self.blocks = plain.blocks
        for part in [part for block in self.blocks for part in block.modules()]:
            for name, child in part.named_children():
                if type(child) is nn.Linear:
                    setattr(part, name, ready_linear(child))

    def forward(self, x_BCHW: Tensor, signal: Signal) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        h_BLC = self.enter(self.norm(x_BCHW)).flatten(2).transpose(1, 2)
        for block in self.blocks:
            h_BLC = block(h_BLC, signal.condition)
        out_BCHW: Tensor = self.leave(h_BLC.transpose(1, 2).reshape(x_BCHW.shape), plus_BOHW=x_BCHW)
        return out_BCHW


class ReadyTokenTransformer(nn.Module):
    """`SpatialTransformer` all of whose layers are products of one picture's pixels after another's, as they lie in
    memory where that is pixel by pixel.
    """

    def __init__(self, plain: SpatialTransformer) -> None:
        super().__init__()
        self.norm = plain.norm
        self.enter, self.leave = (_of_tokens(layer) for layer in (plain.enter, plain.leave))
        self.blocks = nn.ModuleList(ready_transformer_block(block) for block in plain.blocks)

    def forward(self, x_BCHW: Tensor, signal: Signal) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        x_BLC = x_BCHW.flatten(2).transpose(1, 2)
        h_BLC = self.enter(self.norm(x_BCHW).flatten(2).transpose(1, 2))
        for block in self.blocks:
            h_BLC = block(h_BLC, signal.condition)
        fresh_BLC = x_BLC.clone(memory_format=torch.contiguous_format)  # x is others' too
        return added(fresh_BLC, h_BLC, self.leave).transpose(1, 2).reshape(x_BCHW.shape)


def ready_transformer(plain: SpatialTransformer) -> nn.Module:
    """The form that is fastest here: in halves, and on GPUs, convolutions and products as they are packed there; in
    float32 on a CPU products added to what is there (a step of 17.8 M parameters took 1.05 times as long otherwise).
    """
    weight = plain.enter.weight
    is_exact = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)
    return ReadyTokenTransformer(plain) if is_exact else ReadySpatialTransformer(plain)


def _of_tokens(layer: nn.Conv2d | nn.Linear) -> nn.Linear:
    """The projection of every token: a 1×1 convolution's weights are those of a linear layer."""
    if isinstance(layer, nn.Linear):
        return layer
    linear = nn.Linear(layer.in_channels, layer.out_channels, bias=layer.bias is not None, device="meta")
    linear.weight = nn.Parameter(layer.weight[:, :, 0, 0], requires_grad=False)
    linear.bias = layer.bias  # type: ignore[assignment]  # None where a convolution has none
    return linear


def _of_pixels(layer: nn.Conv2d | nn.Linear) -> ReadyConv2d:
    """The projection of every pixel: a linear layer's weights are those of a 1×1 convolution."""
    if isinstance(layer, nn.Conv2d):
        return ready_conv(layer)
    conv = nn.Conv2d(layer.in_features, layer.out_features, 1, device="meta")
    conv.weight = nn.Parameter(layer.weight[:, :, None, None], requires_grad=False)
    conv.bias = layer.bias
    return ready_conv(conv)
