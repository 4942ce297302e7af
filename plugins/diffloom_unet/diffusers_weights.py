"""diffusers' `UNet2DModel` → `UNetModel`: its configuration as arguments, its weights under our names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from diffloom.errors import CheckpointError
from diffloom_unet.model import UNetModel

SAME = {
    "in_channels": "in_channels",
    "out_channels": "out_channels",
    "blocks_per_level": "layers_per_block",
    "head_channels": "attention_head_dim",
    "norm_groups": "norm_num_groups",
    "norm_eps": "norm_eps",
    "time_cos_first": "flip_sin_to_cos",
    "time_frequency_shift": "freq_shift",
}
"""Our arguments whose values are those of their options."""

TRANSLATED = ("block_out_channels", "down_block_types", "up_block_types", "downsample_padding")
"""Their options that are read otherwise."""

ONLY: dict[str, tuple[object, ...]] = {
    "act_fn": ("silu", "swish"),
    "add_attention": (True,),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "downsample_padding": (0, 1),
    "downsample_type": ("conv",),
    "mid_block_scale_factor": (1,),
    "mid_block_type": ("UNetMidBlock2D",),
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "time_embedding_dim": (None,),
    "time_embedding_type": ("positional",),
    "upsample_type": ("conv",),
}
"""What their options may be for the network to be this one; older configurations lack the newer options."""

EMBEDDINGS = {"default": "add", "scale_shift": "scale_shift"}
"""Their `resnet_time_scale_shift` → our `embedding`."""

RESIDUAL = {
    "norm1": ("norm1",),
    "conv1": ("conv1",),
    "emb": ("time_emb_proj",),
    "norm2": ("norm2",),
    "conv2": ("conv2",),
    "shortcut": ("conv_shortcut",),
}
ATTENTION = {"norm": ("group_norm",), "qkv": ("to_q", "to_k", "to_v"), "out": ("to_out.0",)}
RESAMPLE = {"conv": ("conv",)}
"""Our layer → theirs; where there are several, ours holds their rows one after another."""

FORMER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of attention layers in early diffusers, which checkpoints of that time still carry."""


def from_diffusers(
    state_dict: Mapping[str, Tensor], config: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The arguments of a `UNetModel` and its state dict, from `UNet2DModel`'s state dict and `config`.

    Every tensor of theirs is used once and every tensor of ours filled once. Raises CheckpointError listing
    the options that make it another network, or the tensors that are missing, left over or of another
    shape.
    """
    arguments = _arguments(config)
    layers = dict(
        _layers(len(arguments["channels"]), arguments["blocks_per_level"], arguments["attention_levels"])
    )
    theirs = {_current(key): value for key, value in state_dict.items()}
    with torch.device("meta"):
        wanted = UNetModel(**arguments).state_dict()
    problems: list[str] = []
    ours: dict[str, Tensor] = {}
    for key, like in wanted.items():
        layer, _, leaf = key.rpartition(".")
        sources = [f"{source}.{leaf}" for source in layers[layer]]
        missing = [source for source in sources if source not in theirs]
        problems += [f"missing {source}" for source in missing]
        if missing:
            continue
        ours[key] = torch.cat([theirs.pop(source) for source in sources])
        if ours[key].shape != like.shape:
            problems.append(f"{', '.join(sources)}: {tuple(ours[key].shape)}, not {tuple(like.shape)}")
    problems += [f"left over {key}" for key in theirs]
    if problems:
        raise CheckpointError("not the weights of this UNet2DModel: " + "; ".join(problems))
    return arguments, ours


def _arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """`UNetModel`'s arguments. Raises CheckpointError where their network is none of ours."""
    problems = [f"no {key}" for key in (*SAME.values(), *TRANSLATED) if key not in config]
    if not problems:
        attends = [kind == "AttnDownBlock2D" for kind in config["down_block_types"]]
        down = [f"{'Attn' if attend else ''}DownBlock2D" for attend in attends]
        up = [f"{'Attn' if attend else ''}UpBlock2D" for attend in reversed(attends)]
        # with scale and shift, their middle attention is normalised only if they are told its groups
        groups = (None,) if config.get("resnet_time_scale_shift", "default") == "default" else ()
        kinds = {
            **ONLY,
            "down_block_types": (down,),
            "up_block_types": (up,),
            "attn_norm_num_groups": (*groups, config["norm_num_groups"]),
        }
        given = {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}
        problems = [
            f"{key} {given[key]!r}"
            for key, allowed in kinds.items()
            if given.get(key, allowed[0]) not in allowed
        ]
    if problems:
        raise CheckpointError("this UNet2DModel is not the U-Net of Ho et al.: " + "; ".join(problems))
    return {
        **{argument: config[key] for argument, key in SAME.items()},
        "channels": tuple(config["block_out_channels"]),
        "attention_levels": tuple(level for level, attend in enumerate(attends) if attend),
        "dropout": config.get("dropout", 0.0),
        "embedding": EMBEDDINGS[config.get("resnet_time_scale_shift", "default")],
        "downsample_padding": "asymmetric" if config["downsample_padding"] == 0 else "symmetric",
        "classes": config.get("num_class_embeds") or 0,
    }


def _layers(
    levels: int, blocks: int, attention_levels: tuple[int, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Our layers' names, each with theirs."""
    yield from {
        "time.expand": ("time_embedding.linear_1",),
        "time.mix": ("time_embedding.linear_2",),
        "classes": ("class_embedding",),
        "enter": ("conv_in",),
        "norm": ("conv_norm_out",),
        "leave": ("conv_out",),
    }.items()
    yield from _named("trunk.middle.parts.0", "mid_block.resnets.0", RESIDUAL)
    yield from _named("trunk.middle.parts.1", "mid_block.attentions.0", ATTENTION)
    yield from _named("trunk.middle.parts.2", "mid_block.resnets.1", RESIDUAL)
    down = up = 0
    for level in range(levels):
        attends, block = level in attention_levels, f"down_blocks.{level}"
        for index in range(blocks):
            yield from _stack(f"trunk.down.{down}", block, index, attends=attends)
            down += 1
        if level < levels - 1:
            yield from _named(f"trunk.down.{down}.parts.0", f"{block}.downsamplers.0", RESAMPLE)
            down += 1
    for level in reversed(range(levels)):
        attends, block = level in attention_levels, f"up_blocks.{levels - 1 - level}"
        for index in range(blocks + 1):
            yield from _stack(f"trunk.up.{up}", block, index, attends=attends)
            up += 1
        yield from _named(f"trunk.up.{up - 1}.parts.{1 + attends}", f"{block}.upsamplers.0", RESAMPLE)


def _stack(ours: str, block: str, index: int, *, attends: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """A residual block of a level, and its attention."""
    yield from _named(f"{ours}.parts.0", f"{block}.resnets.{index}", RESIDUAL)
    if attends:
        yield from _named(f"{ours}.parts.1", f"{block}.attentions.{index}", ATTENTION)


def _named(
    ours: str, theirs: str, layers: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The layers of one block under their full names."""
    for layer, sources in layers.items():
        yield f"{ours}.{layer}", tuple(f"{theirs}.{source}" for source in sources)


def _current(key: str) -> str:
    """A tensor's name as diffusers writes it today."""
    pattern = rf"(\.attentions\.\d+\.)({'|'.join(FORMER)})\."
    return re.sub(pattern, lambda found: f"{found[1]}{FORMER[found[2]]}.", key)
