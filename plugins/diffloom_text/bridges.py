"""The paper's text encoder as its own program and diffusers keep it ↔ `transformer_text`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from diffloom.bridge import SAME, AmbiguousError, Entry, Foreign, Inferred, Rows
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo, Setting, SpaceInfo
from diffloom_text.component import TransformerText

UNKNOWN = Setting(
    image=ImageInfo(height=1, width=1, channels=1), space=SpaceInfo(channels=1, height=1, width=1)
)
"""The network depends on nothing around it."""
PUBLISHED_INNER = 512
"""8 heads of 64: latent-diffusion always leaves x-transformers' defaults, whatever the width."""


class TextBridge(ABC):
    """What both have in common: the same layers under other names."""

    format: ClassVar[str]
    entry_table: ClassVar[str]
    position_table: ClassVar[str]
    last_norm: ClassVar[str]
    unused: ClassVar[str]
    """A projection to the vocabulary, which neither trains nor calls."""

    @abstractmethod
    def block(self, index: int) -> Mapping[str, tuple[str, ...]]:
        """Layers of our block `index` → theirs."""

    @abstractmethod
    def described(self, config: Mapping[str, Any]) -> int | None:
        """The width of a head that their configuration says, if it says one. Raises ValueError for another network."""

    def infer(self, foreign: Foreign) -> Inferred | None:
        names = set(foreign.tensors)
        first = self.block(0)
        if f"{self.entry_table}.weight" not in names or f"{first['attend.qkv'][0]}.weight" not in names:
            return None
        layers = 0
        while f"{self.block(layers)['attend.qkv'][0]}.weight" in names:
            layers += 1
        vocabulary, width = foreign.tensors.shape(f"{self.entry_table}.weight")
        length, _ = foreign.tensors.shape(f"{self.position_table}.weight")
        inner, _ = foreign.tensors.shape(f"{first['attend.qkv'][0]}.weight")
        head_channels, why = self._head_channels(foreign, inner)
        part = TransformerText(
            width=width,
            layers=layers,
            heads=inner // head_channels,
            head_channels=head_channels,
            length=length,
            vocabulary=vocabulary,
        )
        return Inferred(
            part=part,
            shapes={"setting": UNKNOWN, "codec": None},
            told=(
                f"a text transformer of {layers} layers, {width} wide, for {length} of {vocabulary} entries",
                f"{part.heads} heads of {head_channels}: {why}",
                "its vocabulary is not among the weights: set `tokenizer` to its file",
            ),
        )

    def _head_channels(self, foreign: Foreign, inner: int) -> tuple[int, str]:
        """The width of a head, and how it is known."""
        if foreign.config is not None:
            try:
                said, why = self.described(foreign.config), "its configuration says so"
            except ValueError as error:
                raise CheckpointError(f"{foreign.tensors.place}: {error}") from error
        else:
            said, why = None, ""
        if said is None and "head_channels" in foreign.assume:
            said, why = _number(foreign.assume["head_channels"]), "as you said"
        if said is None and inner == PUBLISHED_INNER:
            said, why = 64, "latent-diffusion has no other"
        if said is None:
            fitting = [width for width in (32, 40, 64, 80, 128) if inner % width == 0] or [inner]
            raise AmbiguousError(
                foreign.tensors.place,
                f"{inner} channels of attention do not say how many heads share them",
                {f"head_channels={width}": f"{inner // width} heads of {width}" for width in fitting},
            )
        if said < 1 or inner % said:
            raise CheckpointError(
                f"{foreign.tensors.place}: {inner} channels of attention are no heads of {said}"
            )
        return said, why

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        layers = {"entries": self.entry_table, "positions": self.position_table, "norm": self.last_norm}
        table: dict[str, tuple[str, ...]] = {
            f"transformer.{ours}": (theirs,) for ours, theirs in layers.items()
        }
        for index in range(len(module.transformer.blocks)):  # type: ignore[union-attr, arg-type]
            table |= {
                f"transformer.blocks.{index}.{ours}": names for ours, names in self.block(index).items()
            }
        for name in module.state_dict():
            layer, _, leaf = name.rpartition(".")
            theirs = tuple(f"{source}.{leaf}" for source in table[layer])
            yield Entry(name, theirs, SAME if len(theirs) == 1 else Rows(len(theirs)))

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        return [name for name in names if name.startswith(f"{self.unused}.")]


class LDMText(TextBridge):
    """latent-diffusion's `BERTEmbedder`, which wraps x-transformers' `TransformerWrapper`."""

    format = "ldm"
    entry_table = "transformer.token_emb"
    position_table = "transformer.pos_emb.emb"
    last_norm = "transformer.norm"
    unused = "transformer.to_logits"

    def block(self, index: int) -> Mapping[str, tuple[str, ...]]:
        attend, feed = (f"transformer.attn_layers.layers.{2 * index + half}" for half in (0, 1))
        return {
            "norm1": (f"{attend}.0",),
            "attend.qkv": (f"{attend}.1.to_q", f"{attend}.1.to_k", f"{attend}.1.to_v"),
            "attend.out": (f"{attend}.1.to_out",),
            "norm2": (f"{feed}.0",),
            "widen": (f"{feed}.1.net.0.0",),
            "narrow": (f"{feed}.1.net.2",),
        }

    def described(self, config: Mapping[str, Any]) -> int | None:
        return None

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        return None


class DiffusersText(TextBridge):
    """diffusers' `LDMBertModel`."""

    format = "diffusers"
    entry_table = "model.embed_tokens"
    position_table = "model.embed_positions"
    last_norm = "model.layer_norm"
    unused = "to_logits"

    def block(self, index: int) -> Mapping[str, tuple[str, ...]]:
        layer = f"model.layers.{index}"
        return {
            "norm1": (f"{layer}.self_attn_layer_norm",),
            "attend.qkv": tuple(f"{layer}.self_attn.{one}_proj" for one in "qkv"),
            "attend.out": (f"{layer}.self_attn.out_proj",),
            "norm2": (f"{layer}.final_layer_norm",),
            "widen": (f"{layer}.fc1",),
            "narrow": (f"{layer}.fc2",),
        }

    def described(self, config: Mapping[str, Any]) -> int | None:
        if (activation := config.get("activation_function", "gelu")) != "gelu":
            raise ValueError(f"its activation is {activation!r}, and transformer_text knows 'gelu' only")
        width = config.get("head_dim")
        return None if width is None else int(width)

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        part = inferred.part
        return {
            "architectures": ["LDMBertModel"],
            "model_type": "ldmbert",
            "vocab_size": part.vocabulary,
            "max_position_embeddings": part.length,
            "d_model": part.width,
            "encoder_layers": part.layers,
            "encoder_ffn_dim": 4 * part.width,
            "encoder_attention_heads": part.heads,
            "head_dim": part.head_channels,
            "activation_function": "gelu",
        }


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise CheckpointError(f"head_channels={text}: expected a whole number")
    return int(text)
