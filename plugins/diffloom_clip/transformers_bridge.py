"""transformers' weights of a CLIP text model, which Stable Diffusion 1.x keeps its text encoder as."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from diffloom.bridge import SAME, Change, Entry, Foreign, Inferred, Rows
from diffloom.errors import CheckpointError
from diffloom_clip.architecture import CLIP_VOCABULARY, TextArchitecture
from diffloom_clip.clip_encoder import ClipEncoder
from diffloom_clip.shapes import Shapes, architecture_of, encoder_of, heads, quick_gelu
from diffloom_clip.tower import ClipTower

OURS = "text."
"""Where a tower keeps open_clip's module."""
LAYERS = {
    "ln_1": ("layer_norm1",),
    "attn.in_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attn.out_proj": ("self_attn.out_proj",),
    "ln_2": ("layer_norm2",),
    "mlp.c_fc": ("mlp.fc1",),
    "mlp.c_proj": ("mlp.fc2",),
}
"""Our layer of a block → theirs, whose rows ours has one after another."""
AROUND = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
REQUIRED = (
    "embeddings.token_embedding.weight",
    "embeddings.position_embedding.weight",
    "encoder.layers.0.mlp.fc1.weight",
)
"""What shows the shapes."""
OUR_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.([a-z_0-9.]+)[._](weight|bias)$")
THEIR_BLOCK = re.compile(r"encoder\.layers\.(\d+)\.")
PICTURES = re.compile(r"vision_model\.|visual_projection\.|logit_scale$")
PROJECTION = "text_projection.weight"
END = (2, CLIP_VOCABULARY - 1)
"""Their end token: CLIP's, and a number that older configurations have in its place, which means the same."""
EXPRESSED = (
    "width",
    "heads",
    "layers",
    "embed_dim",
    "quick_gelu",
    "context_length",
    "vocab_size",
    "mlp_ratio",
    "norm_eps",
)
"""What their configuration can say of a tower; else it is as in OpenAI's."""
ACTIVATIONS = {"quick_gelu": True, "gelu": False}


@dataclass(frozen=True)
class Transposed:
    """Theirs is (out, in), ours (in, out)."""

    def read(self, theirs: Sequence[Tensor]) -> Tensor:
        (tensor,) = theirs
        return tensor.t().contiguous()

    def write(self, ours: Tensor) -> tuple[Tensor, ...]:
        return (ours.t().contiguous(),)


class TransformersText:
    """A `CLIPTextModelWithProjection`, the text half of a `CLIPModel`, or the `CLIPTextModel` of transformers 4."""

    format: ClassVar[str] = "transformers"
    prefix: ClassVar[str] = "text_model."

    def infer(self, foreign: Foreign) -> Inferred | None:
        tensors, config = foreign.tensors, _text_config(foreign.config)
        words, places, hidden = (self.prefix + name for name in REQUIRED)
        if words not in tensors or places not in tensors or hidden not in tensors:
            return None
        if config is not None and config.get("model_type", "clip_text_model") != "clip_text_model":
            return None
        vocabulary, width = tensors.shape(words)
        inner = [name.removeprefix(self.prefix) for name in tensors]
        shapes = Shapes(
            width=width,
            layers=1 + max(int(found[1]) for name in inner if (found := THEIR_BLOCK.match(name))),
            hidden=tensors.shape(hidden)[0],
            context_length=tensors.shape(places)[0],
            vocab_size=vocabulary,
            embed_dim=tensors.shape(PROJECTION)[0] if PROJECTION in tensors else None,
        )
        eps = 1e-5
        if config is None:
            count, why_heads = heads(shapes, foreign)
            quick, why_quick = quick_gelu(shapes, foreign, alone=True)
        else:
            _refuse_other_words(config, tensors.place)
            count, why_heads = config.get("num_attention_heads", 8), "by its config.json"
            quick, why_quick = ACTIVATIONS[config.get("hidden_act", "quick_gelu")], "by its config.json"
            eps = config.get("layer_norm_eps", 1e-5)
        architecture = architecture_of(
            shapes, place=tensors.place, heads=count, quick_gelu=quick, norm_eps=eps
        )
        pad = "end" if quick else "zero"
        told = (
            f"{shapes.layers} blocks of width {width}, by the shapes",
            f"{count} heads, {why_heads}",
            f"{'quick-GELU' if quick else 'GELU'}, {why_quick}",
            f"filled up with {'its end' if quick else 'token 0'}, as Stable Diffusion does with such a tower",
        )
        return Inferred(encoder_of(architecture, pooled=shapes.embed_dim is not None, pad=pad), told=told)

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        """What theirs has no layer for keeps its name, which no file of theirs has."""
        for ours in module.state_dict():
            name = ours.removeprefix(OURS)
            block = OUR_BLOCK.fullmatch(name)
            if block and block[2] in LAYERS:
                theirs = LAYERS[block[2]]
                layer = f"{self.prefix}encoder.layers.{block[1]}"
                change: Change = Rows(len(theirs)) if len(theirs) > 1 else SAME
                yield Entry(ours, tuple(f"{layer}.{part}.{block[3]}" for part in theirs), change)
            elif name == "text_projection":
                yield Entry(ours, (PROJECTION,), Transposed())
            else:
                yield Entry(ours, (self.prefix + AROUND.get(name, name),))

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        """Position ids, the picture half, and what the tower was built without."""
        assert isinstance(module, ClipTower)
        return [
            name
            for name in names
            if name == f"{self.prefix}embeddings.position_ids"
            or PICTURES.match(name)
            or self._is_unread(name, module)
        ]

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        """That of a `CLIPTextModel`, or of one with projection where the pooled vector is read.

        Behind which block tokens are taken is their pipelines' affair: Stable Diffusion's behind the last, through the
        final normalisation, XL's behind the last but one, before it. Raises CheckpointError for what neither does.
        """
        part = inferred.part
        assert isinstance(part, ClipEncoder)
        tower = part.published
        if part.layer == "penultimate" and part.final_norm:
            raise CheckpointError(
                "diffusers' pipelines do not normalise the last but one block's tokens; say the same with "
                f"`depth: {(part.depth or tower.layers) - 1}` and `layer: last`"
            )
        if part.layer == "last" and not part.final_norm:
            raise CheckpointError(
                "diffusers' pipelines normalise the last block's tokens; this one reads them before"
            )
        usual = {name: field.default for name, field in TextArchitecture.model_fields.items()}
        odd = [name for name, value in tower if name not in EXPRESSED and value != usual[name]]
        if odd:
            raise CheckpointError(
                f"transformers' CLIP has no text tower with {', '.join(odd)} as in this one"
            )
        return {
            "architectures": ["CLIPTextModelWithProjection" if part.pooled else "CLIPTextModel"],
            "model_type": "clip_text_model",
            "vocab_size": tower.vocab_size,
            "hidden_size": tower.width,
            "intermediate_size": int(tower.width * tower.mlp_ratio),
            "num_hidden_layers": part.depth or tower.layers,
            "num_attention_heads": tower.heads,
            "max_position_embeddings": tower.context_length,
            "hidden_act": "quick_gelu" if tower.quick_gelu else "gelu",
            "layer_norm_eps": tower.norm_eps,
            "projection_dim": tower.pooled_width,
            "bos_token_id": CLIP_VOCABULARY - 2,
            "eos_token_id": CLIP_VOCABULARY - 1,
            "pad_token_id": CLIP_VOCABULARY - 1 if part.pad == "end" else 0,
        }

    def _is_unread(self, name: str, tower: ClipTower) -> bool:
        block = THEIR_BLOCK.match(name.removeprefix(self.prefix))
        if block:
            return tower.depth <= int(block[1]) < tower.architecture.layers
        return name == PROJECTION and not tower.pooled and tower.architecture.embed_dim is not None


class TransformersBareText(TransformersText):
    """A `CLIPTextModel` as transformers 5 saves it, without a prefix."""

    prefix: ClassVar[str] = ""


def _text_config(config: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The text half's, where it is that of a whole CLIP."""
    if config is not None and isinstance(config.get("text_config"), Mapping):
        return {**config["text_config"], "model_type": f"{config.get('model_type', 'clip')}_text_model"}
    return config


def _refuse_other_words(config: Mapping[str, Any], place: str) -> None:
    """What a configuration may say that makes it another network."""
    activation, end = config.get("hidden_act", "quick_gelu"), config.get("eos_token_id", END[1])
    if activation not in ACTIVATIONS:
        raise CheckpointError(f"{place}: hidden_act {activation} is none of {', '.join(ACTIVATIONS)}")
    if end not in END:
        raise CheckpointError(f"{place}: its texts end with token {end}, and CLIP's with {END[1]}")
