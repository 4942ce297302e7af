"""guided-diffusion's names of the tensors of its classifiers ↔ `EncoderClassifier`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from diffloom.bridge import SAME, Chain, Change, Entry, HeadOrder, Pointwise
from diffloom.nn import ResidualBlock, SelfAttention
from diffloom_classifier.network import EncoderClassifier
from diffloom_classifier.pools import AttentionPool, MeanPool, NormalisedStacksPool


@dataclass(frozen=True)
class Layer:
    """Theirs that is one layer of ours."""

    theirs: str
    weight: Change = SAME
    bias: Change = SAME


Layers = Mapping[str, Layer]
"""The layers of a part, by ours."""
OUTSIDE: Layers = {
    "time.expand": Layer("time_embed.0"),
    "time.mix": Layer("time_embed.2"),
    "enter": Layer("input_blocks.0.0"),
}
RESIDUAL: Layers = {
    "norm1": Layer("in_layers.0"),
    "conv1": Layer("in_layers.2"),
    "emb": Layer("emb_layers.1"),
    "norm2": Layer("out_layers.0"),
    "conv2": Layer("out_layers.3"),
    "shortcut": Layer("skip_connection"),
}
DOWN: Layers = {"conv": Layer("op")}


class OpenAIClassifier:
    """The names of `EncoderUNetModel`.

    The rows of the projections between pixels are ordered head by head (`use_new_attention_order` is off in everything
    that guided-diffusion classifies with), those of the attention pool are not.
    """

    format: ClassVar[str] = "openai"

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        """Every tensor of an `EncoderClassifier`."""
        assert isinstance(module, EncoderClassifier)
        yield from _entries(module, OUTSIDE)
        stacks = {f"down.{index}": f"input_blocks.{index + 1}" for index in range(len(module.down))}
        for ours, theirs in (stacks | {"middle": "middle_block"}).items():
            for slot, part in module.get_submodule(f"{ours}.parts").named_children():
                yield from _entries(part, _layers(part), f"{ours}.parts.{slot}.", f"{theirs}.{slot}.")
        yield from _entries(module.pool, _pool_layers(module.pool), "pool.", "out.")
        if isinstance(module.pool, AttentionPool):
            yield Entry("pool.position_CL", ("out.2.positional_embedding",))

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        return ()


def _entries(part: nn.Module, layers: Layers, ours: str = "", theirs: str = "") -> Iterator[Entry]:
    """The weights and biases of a part's layers, the names of both sides after these."""
    for name, layer in layers.items():
        for leaf in part.get_submodule(name).state_dict():
            change = layer.bias if leaf == "bias" else layer.weight
            yield Entry(f"{ours}{name}.{leaf}", (f"{theirs}{layer.theirs}.{leaf}",), change)


def _layers(part: nn.Module) -> Layers:
    """Those of a part of a stack."""
    match part:
        case ResidualBlock():
            return RESIDUAL
        case SelfAttention():
            order = HeadOrder(part.heads)
            return {
                "norm": Layer("norm"),
                "qkv": Layer("qkv", weight=Chain(Pointwise(1), order), bias=order),
                "out": Layer("proj_out", weight=Pointwise(1)),
            }
    return DOWN


def _pool_layers(pool: nn.Module) -> Layers:
    match pool:
        case MeanPool():
            return {"norm": Layer("0"), "out": Layer("3", weight=Pointwise(2))}
        case AttentionPool():
            return {
                "norm": Layer("0"),
                "qkv": Layer("2.qkv_proj", weight=Pointwise(1)),
                "out": Layer("2.c_proj", weight=Pointwise(1)),
            }
        case NormalisedStacksPool():
            return {"expand": Layer("0"), "norm": Layer("1"), "out": Layer("3")}
    return {"expand": Layer("0"), "out": Layer("2")}
