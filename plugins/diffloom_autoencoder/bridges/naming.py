"""How each program names the layers of a levelled autoencoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from diffloom.bridge import SAME, Chain, Change, Entry, Pointwise, Rows
from diffloom_autoencoder.bridges.walk import Place, places

CODEBOOK = "quantize.embedding.weight"
"""The entries of a codebook, in every program."""


@dataclass(frozen=True, kw_only=True)
class Naming:
    """One program's names, in which {side}, {way}, {level}, {block}, {index} and {number} stand for a place."""

    parts: Mapping[str, str]
    """Role → the name of such a part."""
    norm: str
    """The normalisation where a side ends."""
    shortcut: str
    """A residual block's."""
    attention: tuple[str, str, str, str, str]
    """Normalisation, queries, keys, values and output."""
    pointwise: bool
    """Whether attention is made of convolutions of one pixel."""

    def part(self, place: Place) -> str:
        """Their name of a part."""
        is_encoder = place.side == "encoder"
        return self.parts[place.role].format(
            side=place.side,
            way="down" if is_encoder else "up",
            quant="quant_conv" if is_encoder else "post_quant_conv",
            level=place.level,
            block=place.block,
            index=place.index,
            number=place.index + 1,
        )

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        """Every tensor of the module, with theirs."""
        for name, part, place in places(module):
            theirs = self.part(place)
            for ours in part.state_dict():
                layer, _, leaf = ours.rpartition(".")
                yield self._entry(f"{name}.{ours}", theirs, place, layer, leaf)
        if "codebook.entries_KC" in module.state_dict():
            yield Entry("codebook.entries_KC", (CODEBOOK,))

    def _entry(self, ours: str, part: str, place: Place, layer: str, leaf: str) -> Entry:
        """One tensor of a part: its `leaf` (weight or bias) of a `layer`."""
        if place.role in ("attention", "middle_attention"):
            norm, query, key, value, out = self.attention
            layers = {"norm": (norm,), "qkv": (query, key, value), "out": (out,)}[layer]
            change: Change = Rows(3) if layer == "qkv" else SAME
            if self.pointwise and leaf == "weight" and layer != "norm":
                change = Chain(Pointwise(), change)
            return Entry(ours, tuple(f"{part}.{their}.{leaf}" for their in layers), change)
        if place.role == "head" and layer == "norm":
            return Entry(ours, (f"{self.norm.format(side=place.side)}.{leaf}",))
        if layer in ("norm1", "conv1", "norm2", "conv2") or (place.role == "resample" and layer == "conv"):
            return Entry(ours, (f"{part}.{layer}.{leaf}",))
        if layer == "shortcut":
            return Entry(ours, (f"{part}.{self.shortcut}.{leaf}",))
        return Entry(ours, (f"{part}.{leaf}",))


DIFFUSERS = Naming(
    parts={
        "enter": "{side}.conv_in",
        "block": "{side}.{way}_blocks.{block}.resnets.{index}",
        "attention": "{side}.{way}_blocks.{block}.attentions.{index}",
        "resample": "{side}.{way}_blocks.{block}.{way}samplers.0",
        "middle_block": "{side}.mid_block.resnets.{index}",
        "middle_attention": "{side}.mid_block.attentions.{index}",
        "head": "{side}.conv_out",
        "quant": "{quant}",
    },
    norm="{side}.conv_norm_out",
    shortcut="conv_shortcut",
    attention=("group_norm", "to_q", "to_k", "to_v", "to_out.0"),
    pointwise=False,
)
FORMER_DIFFUSERS = Naming(
    parts=DIFFUSERS.parts,
    norm=DIFFUSERS.norm,
    shortcut=DIFFUSERS.shortcut,
    attention=("group_norm", "query", "key", "value", "proj_attn"),
    pointwise=False,
)
"""The names of diffusers' first year."""
LDM = Naming(
    parts={
        "enter": "{side}.conv_in",
        "block": "{side}.{way}.{level}.block.{index}",
        "attention": "{side}.{way}.{level}.attn.{index}",
        "resample": "{side}.{way}.{level}.{way}sample",
        "middle_block": "{side}.mid.block_{number}",
        "middle_attention": "{side}.mid.attn_{number}",
        "head": "{side}.conv_out",
        "quant": "{quant}",
    },
    norm="{side}.norm_out",
    shortcut="nin_shortcut",
    attention=("norm", "q", "k", "v", "proj_out"),
    pointwise=True,
)
