"""diffusers' `UNet2DConditionModel` ↔ component `cross_attention_unet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from diffloom.bridge import Entry, Foreign, Inferred
from diffloom.errors import CheckpointError
from diffloom.kinds import ConditionInfo
from diffloom_unet.bridges import diffusers_names
from diffloom_unet.bridges.diffusers_fields import fields_of, options_of, unknown
from diffloom_unet.bridges.diffusers_levels import (
    depths_of,
    each,
    heads_of,
    inexpressible,
    level_options,
    spread,
    uneven,
)
from diffloom_unet.bridges.inference import SIDE, answer, inferred
from diffloom_unet.bridges.options import CONDITION
from diffloom_unet.cross_attention import CrossAttentionUNet

SIZE_WAVES = 256
"""Numbers that SDXL writes each size as. No tensor of the network tells them."""


class DiffusersCrossAttentionUNet:
    """`UNet2DConditionModel`; its vector is SDXL's, of a pooled text and sizes, and embedded in `add_embedding`."""

    format: ClassVar[str] = "diffusers"
    embedding: ClassVar[str] = "add_embedding"

    def infer(self, foreign: Foreign) -> Inferred | None:
        options = CONDITION.read(foreign)
        if options is None or self.embedding != _embedding(options):
            return None
        options = spread(options)
        CONDITION.refuse(foreign, uneven(options))
        vector = _vector(options)
        kinds = [] if vector else [f"{name} {options[name]!r}" for name in VECTOR_OPTIONS]
        CONDITION.refuse(foreign, [*unknown(options), *inexpressible(options), *kinds])
        assert vector is not None
        heads, given = heads_of(options), answer(foreign, "image_size") or options["sample_size"]
        height, width = each(given or SIDE, 2)
        ((name, number),) = heads.items()
        told = [f"attention_head_dim is the number of heads: {name} {number} at every level"]
        if vector[0]:
            told.append(f"a vector of {vector[0]} numbers: {vector[1]}")
        if not given:
            told.append(f"a space of {SIDE} × {SIDE}, for want of sample_size or --assume image_size=")
        return inferred(
            CrossAttentionUNet,
            foreign,
            {
                **fields_of({**options, "layers_per_block": options["layers_per_block"][0]}),
                **depths_of(options),
                **heads,
                "projection": "linear" if options["use_linear_projection"] else "conv",
            },
            channels_in=options["in_channels"],
            channels_out=options["out_channels"],
            size=(height, width),
            condition=ConditionInfo(
                classes=options["num_class_embeds"] or 0,
                vector=vector[0],
                tokens=options["cross_attention_dim"][-1],
            ),
            told=[*told, *CONDITION.ignored(foreign)],
        )

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        return diffusers_names.naming(vector=self.embedding).entries(module)

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        return ()

    def config(self, inferred: Inferred) -> dict[str, Any]:
        part, space, condition = inferred.part, inferred.shapes["space"], inferred.shapes["condition"]
        levels, problems = level_options(part)
        if part.resample != "conv":
            problems.append("residual blocks between levels: theirs has convolutions")
        if part.time_width not in (None, part.channels[0]):
            problems.append(f"time_width {part.time_width}: theirs is that of the first level")
        if part.time_scale != 1:
            problems.append(f"time_scale {part.time_scale:g}: theirs takes times as they are")
        if part.self_conditioning:
            problems.append("self_conditioning: theirs is shown no estimate of x₀")
        if condition.classes and condition.vector and self.embedding == "class_embedding":
            problems.append("classes beside a vector: theirs embeds both in class_embedding")
        if problems:
            raise CheckpointError(f"UNet2DConditionModel cannot express {'; '.join(problems)}")
        return {
            "_class_name": CONDITION.of,
            **options_of(part, space, condition),
            **levels,
            "cross_attention_dim": condition.tokens,
            "use_linear_projection": part.projection == "linear",
            **(self._vector_options(condition.vector) if condition.vector else {}),
        }

    def _vector_options(self, width: int) -> dict[str, Any]:
        """Their options for a vector of this width."""
        return {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": SIZE_WAVES,
            "projection_class_embeddings_input_dim": width,
        }


class DiffusersProjectedUNet(DiffusersCrossAttentionUNet):
    """`UNet2DConditionModel` whose vector takes the class's place, in `class_embedding`, as unCLIP's does."""

    embedding = "class_embedding"

    def _vector_options(self, width: int) -> dict[str, Any]:
        return {"class_embed_type": "projection", "projection_class_embeddings_input_dim": width}


VECTOR_OPTIONS = ("class_embed_type", "addition_embed_type", "projection_class_embeddings_input_dim")


def _embedding(options: Mapping[str, Any]) -> str:
    """Where a vector is embedded."""
    return "class_embedding" if options["class_embed_type"] in ("projection", "timestep") else "add_embedding"


def _vector(options: Mapping[str, Any]) -> tuple[int, str] | None:
    """How wide the vector is, 0 for none, and what it is; None for kinds of vectors that ours is not."""
    kinds, width = (options["class_embed_type"], options["addition_embed_type"]), options[VECTOR_OPTIONS[-1]]
    if kinds == (None, None):
        return 0, ""
    if kinds == ("timestep", None):
        return options["block_out_channels"][0], "the class as time is written, in sines and cosines"
    if kinds == ("projection", None) and isinstance(width, int):
        return width, "given in the class's place"
    if kinds == (None, "text_time") and isinstance(width, int):
        return width, f"a pooled text, and sizes of {options['addition_time_embed_dim']} numbers each"
    return None
