"""OpenAI's names of the layers of a U-Net, which latent-diffusion took over."""

from __future__ import annotations

from functools import partial

from torch import nn

from diffloom.bridge import SAME, Chain, Change, HeadOrder, Pointwise
from diffloom.nn import Downsample, ResidualBlock, SelfAttention, SpatialTransformer
from diffloom_unet.bridges.naming import Layer, Naming
from diffloom_unet.bridges.transformer import transformer_layers
from diffloom_unet.bridges.walk import Place

OUTSIDE = {
    "time.expand": Layer(("time_embed.0",)),
    "time.mix": Layer(("time_embed.2",)),
    "classes": Layer(("label_emb",)),
    "vector.expand": Layer(("label_emb.0.0",)),
    "vector.mix": Layer(("label_emb.0.2",)),
    "enter": Layer(("input_blocks.0.0",)),
    "norm": Layer(("out.0",)),
    "leave": Layer(("out.2",)),
}
RESIDUAL = {
    "norm1": Layer(("in_layers.0",)),
    "conv1": Layer(("in_layers.2",)),
    "emb": Layer(("emb_layers.1",)),
    "norm2": Layer(("out_layers.0",)),
    "conv2": Layer(("out_layers.3",)),
    "shortcut": Layer(("skip_connection",)),
}
DOWN, UP = {"conv": Layer(("op",))}, {"conv": Layer(("conv",))}


def naming(*, legacy: bool) -> Naming:
    """Their names, with attention's projection head by head (`legacy`), or all queries, then all keys, all values."""
    return Naming(outside=OUTSIDE, place=_place, layers=partial(_layers, legacy=legacy))


def _place(place: Place) -> str:
    if place.side == "middle":
        return f"middle_block.{place.slot}"
    if place.side == "down":  # the first is the convolution at the entrance
        return f"input_blocks.{place.stack + 1}.{place.slot}"
    return f"output_blocks.{place.stack}.{place.slot}"


def _layers(part: nn.Module, *, legacy: bool) -> dict[str, Layer]:
    match part:
        case ResidualBlock():
            return RESIDUAL
        case SelfAttention():
            order: Change = HeadOrder(part.heads) if legacy else SAME
            return {
                "norm": Layer(("norm",)),
                "qkv": Layer(("qkv",), weight=Chain(Pointwise(1), order), bias=order),
                "out": Layer(("proj_out",), weight=Pointwise(1)),
            }
        case SpatialTransformer():
            return transformer_layers(part)
        case Downsample():
            return DOWN
    return UP
