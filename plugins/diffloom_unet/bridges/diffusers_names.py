"""diffusers' names of the layers of a U-Net."""

from __future__ import annotations

from functools import partial

from torch import nn

from diffloom.bridge import Rows
from diffloom.nn import ResidualBlock, SelfAttention, SpatialTransformer
from diffloom_unet.bridges.naming import Layer, Naming
from diffloom_unet.bridges.transformer import transformer_layers
from diffloom_unet.bridges.walk import Place

RESIDUAL = {
    "norm1": Layer(("norm1",)),
    "conv1": Layer(("conv1",)),
    "emb": Layer(("time_emb_proj",)),
    "norm2": Layer(("norm2",)),
    "conv2": Layer(("conv2",)),
    "shortcut": Layer(("conv_shortcut",)),
}
RESAMPLE = {"conv": Layer(("conv",))}

TODAY = ("to_q", "to_k", "to_v", "to_out.0")
FORMER = ("query", "key", "value", "proj_attn")
"""Queries, keys, values and output, in attention between pixels: now, and in checkpoints of diffusers' first year."""


def naming(*, attention: tuple[str, str, str, str] = TODAY, vector: str = "add_embedding") -> Naming:
    """Their names, where `attention` has these layers and the vector is embedded in `vector`."""
    outside = {
        "time.expand": "time_embedding.linear_1",
        "time.mix": "time_embedding.linear_2",
        "classes": "class_embedding",
        "vector.expand": f"{vector}.linear_1",
        "vector.mix": f"{vector}.linear_2",
        "enter": "conv_in",
        "norm": "conv_norm_out",
        "leave": "conv_out",
    }
    return Naming(
        outside={ours: Layer((theirs,)) for ours, theirs in outside.items()},
        place=_place,
        layers=partial(_layers, attention=attention),
    )


def _place(place: Place) -> str:
    block = "mid_block" if place.side == "middle" else f"{place.side}_blocks.{place.level}"
    roles = {"residual": "resnets", "attention": "attentions", "resample": f"{place.side}samplers"}
    return f"{block}.{roles[place.role]}.{place.index}"


def _layers(part: nn.Module, attention: tuple[str, str, str, str]) -> dict[str, Layer]:
    match part:
        case ResidualBlock():
            return RESIDUAL
        case SelfAttention():
            *qkv, out = attention
            return {
                "norm": Layer(("group_norm",)),
                "qkv": Layer(tuple(qkv), weight=Rows(3), bias=Rows(3)),
                "out": Layer((out,)),
            }
        case SpatialTransformer():
            return transformer_layers(part)
    return RESAMPLE
