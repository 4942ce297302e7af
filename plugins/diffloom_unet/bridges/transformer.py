"""The layers of a spatial transformer, which latent-diffusion and diffusers name alike."""

from __future__ import annotations

from diffloom.bridge import Rows
from diffloom.nn import SpatialTransformer
from diffloom_unet.bridges.naming import Layer

BLOCK = {
    "norm1": Layer(("norm1",)),
    "attend.qkv": Layer(("attn1.to_q", "attn1.to_k", "attn1.to_v"), weight=Rows(3)),
    "attend.out": Layer(("attn1.to_out.0",)),
    "norm2": Layer(("norm2",)),
    "read.q": Layer(("attn2.to_q",)),
    "read.kv": Layer(("attn2.to_k", "attn2.to_v"), weight=Rows(2)),
    "read.out": Layer(("attn2.to_out.0",)),
    "norm3": Layer(("norm3",)),
    "feed.expand": Layer(("ff.net.0.proj",)),
    "feed.contract": Layer(("ff.net.2",)),
}
"""One block's. Its queries, keys and values have no bias."""


def transformer_layers(transformer: SpatialTransformer) -> dict[str, Layer]:
    """Those of all its blocks and around them."""
    layers = {"norm": Layer(("norm",)), "enter": Layer(("proj_in",)), "leave": Layer(("proj_out",))}
    for index in range(len(transformer.blocks)):
        for name, layer in BLOCK.items():
            theirs = tuple(f"transformer_blocks.{index}.{their}" for their in layer.theirs)
            layers[f"blocks.{index}.{name}"] = Layer(theirs, layer.weight, layer.bias)
    return layers
