"""The form in which transformers on pixels draw samples. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from diffloom.nn.packed_linear import ready_linear
from diffloom.nn.ready_conv import ReadyConv2d, ready_conv
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


def _of_pixels(layer: nn.Conv2d | nn.Linear) -> ReadyConv2d:
    """The projection of every pixel: a linear layer's weights are those of a 1×1 convolution."""
    if isinstance(layer, nn.Conv2d):
        return ready_conv(layer)
    conv = nn.Conv2d(layer.in_features, layer.out_features, 1, device="meta")
    conv.weight = nn.Parameter(layer.weight[:, :, None, None], requires_grad=False)
    conv.bias = layer.bias
    return ready_conv(conv)
