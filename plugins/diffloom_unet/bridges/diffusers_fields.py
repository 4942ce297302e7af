"""The options that diffusers' two U-Nets share, as our fields and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet.family import UNetFamily

EMBEDDINGS: Mapping[Any, str] = {"default": "add", "scale_shift": "scale_shift"}
"""Their `resnet_time_scale_shift` → our `embedding`."""
PADDINGS: Mapping[Any, str] = {0: "asymmetric", 1: "symmetric"}
"""Their `downsample_padding` → ours."""


def fields_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Our fields of their options."""
    return {
        "channels": options["block_out_channels"],
        "blocks_per_level": options["layers_per_block"],
        "norm_groups": options["norm_num_groups"],
        "norm_eps": float(options["norm_eps"]),
        "dropout": float(options["dropout"]),
        "embedding": EMBEDDINGS.get(options["resnet_time_scale_shift"]),
        "downsample_padding": PADDINGS.get(options["downsample_padding"]),
        "time_cos_first": options["flip_sin_to_cos"],
        "time_frequency_shift": options["freq_shift"],
    }


def unknown(options: Mapping[str, Any]) -> list[str]:
    """The shared options with values that no field of ours has."""
    wide = 4 * options["block_out_channels"][0]
    known: dict[str, tuple[object, ...]] = {
        "resnet_time_scale_shift": tuple(EMBEDDINGS),
        "downsample_padding": tuple(PADDINGS),
        "time_embedding_dim": (None, wide),
    }
    return [f"{name} {options[name]!r}" for name, values in known.items() if options[name] not in values]


def options_of(part: UNetFamily, space: SpaceInfo, condition: ConditionInfo) -> dict[str, Any]:
    """Their options of our fields."""
    return {
        "sample_size": space.height if space.height == space.width else [space.height, space.width],
        "in_channels": space.channels + condition.concat,
        "out_channels": space.channels * (2 if part.learn_variance else 1),
        "block_out_channels": list(part.channels),
        "layers_per_block": part.blocks_per_level,
        "norm_num_groups": part.norm_groups,
        "norm_eps": part.norm_eps,
        "dropout": part.dropout,
        "resnet_time_scale_shift": _key(EMBEDDINGS, part.embedding),
        "downsample_padding": _key(PADDINGS, part.downsample_padding),
        "flip_sin_to_cos": part.time_cos_first,
        "freq_shift": part.time_frequency_shift,
        "num_class_embeds": condition.classes or None,
    }


def _key(table: Mapping[Any, str], wanted: str) -> Any:
    """What the table turns into `wanted`."""
    return next(key for key, value in table.items() if value == wanted)
