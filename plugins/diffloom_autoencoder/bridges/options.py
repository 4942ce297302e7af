"""diffusers' configurations of levelled autoencoders, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from diffloom.bridge import Foreign
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo

DEFAULT_SIZE = 256
"""Pixels of pictures whose size nothing says; the networks do not depend on it."""
DOWN, UP = ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"), ("UpDecoderBlock2D", "AttnUpDecoderBlock2D")
"""Their levels without and with attention."""

SAME = {
    "channels": "block_out_channels",
    "blocks_per_level": "layers_per_block",
    "latent_channels": "latent_channels",
    "norm_groups": "norm_num_groups",
    "scale": "scaling_factor",
}
"""Our field → their option."""
COMMON = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": (DOWN[0],),
    "up_block_types": (UP[0],),
    "block_out_channels": (64,),
    "layers_per_block": 1,
    "act_fn": "silu",
    "norm_num_groups": 32,
    "sample_size": 32,
    "scaling_factor": 0.18215,
    "force_upcast": True,
    "mid_block_add_attention": True,
}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "AutoencoderKL": {
        **COMMON,
        "latent_channels": 4,
        "shift_factor": None,
        "latents_mean": None,
        "latents_std": None,
        "use_quant_conv": True,
        "use_post_quant_conv": True,
    },
    "VQModel": {
        **COMMON,
        "latent_channels": 3,
        "num_vq_embeddings": 256,
        "vq_embed_dim": None,
        "norm_type": "group",
        "lookup_from_codebook": False,
    },
}
"""What is meant where a configuration says nothing."""
MEANINGLESS = ("lookup_from_codebook", "force_upcast", "sample_size")
"""What does not change the network: where decoding begins, precision, and the size of pictures."""


def fields_of(kind: str, foreign: Foreign) -> tuple[dict[str, Any], ImageInfo, tuple[str, ...]]:
    """The component's fields, the picture, and what was concluded. Raises CheckpointError, listing what is not ours."""
    assert foreign.config is not None
    given = {key: _frozen(value) for key, value in foreign.config.items() if not key.startswith("_")}
    options = {**DEFAULTS[kind], **given}
    attends = [name == DOWN[1] for name in options["down_block_types"]]
    allowed = {
        **{key: (options[key],) for key in ("in_channels", "block_out_channels", *SAME.values())},
        **{key: (options[key],) for key in (*MEANINGLESS, "num_vq_embeddings") if key in options},
        "out_channels": (options["in_channels"],),
        "down_block_types": (tuple(DOWN[attend] for attend in attends),),
        "up_block_types": (tuple(UP[attend] for attend in reversed(attends)),),
        "act_fn": ("silu", "swish"),
        "mid_block_add_attention": (True,),
        "shift_factor": (options.get("shift_factor"),),
        "latents_mean": (None,),
        "latents_std": (None,),
        "use_quant_conv": (True, False),
        "use_post_quant_conv": (options.get("use_quant_conv"),),
        "vq_embed_dim": (None, options["latent_channels"]),
        "norm_type": ("group",),
    }
    refuse(kind, foreign, [f"{k} {v!r}" for k, v in options.items() if v not in allowed.get(k, (None,))])
    fields = {
        **{ours: options[theirs] for ours, theirs in SAME.items()},
        "attention_levels": tuple(level for level, attend in enumerate(attends) if attend),
    }
    if kind == "AutoencoderKL":
        fields |= {"shift": options["shift_factor"] or 0.0, "quant_convs": options["use_quant_conv"]}
    else:
        fields["codebook"] = options["num_vq_embeddings"]
    image, told = picture(given.get("sample_size"), channels=options["in_channels"])
    whence = (
        "scaling_factor" if "scaling_factor" in given else "diffusers' default, for want of scaling_factor"
    )
    return fields, image, (f"latents are multiplied by {options['scaling_factor']:g}: {whence}", *told)


def options_of(kind: str, part: Any, image: ImageInfo) -> dict[str, Any]:
    """Their configuration of a component. Raises CheckpointError where theirs cannot say the same."""
    attends = [level in part.attention_levels for level in range(len(part.channels))]
    options: dict[str, Any] = {
        "_class_name": kind,
        **{theirs: getattr(part, ours) for ours, theirs in SAME.items()},
        "block_out_channels": list(part.channels),
        "in_channels": image.channels,
        "out_channels": image.channels,
        "down_block_types": [DOWN[attend] for attend in attends],
        "up_block_types": [UP[attend] for attend in reversed(attends)],
        "act_fn": "silu",
        "sample_size": image.height,
        "mid_block_add_attention": True,
    }
    require_one_scale(kind, part)
    if kind == "AutoencoderKL":
        quant = dict.fromkeys(("use_quant_conv", "use_post_quant_conv"), part.quant_convs)
        return options | quant | {"shift_factor": part.shift or None}
    if part.shift:
        raise CheckpointError(f"a {kind} cannot say shift {part.shift:g}: it only scales its latents")
    return options | {"num_vq_embeddings": part.codebook}


def require_one_scale(kind: str, part: Any) -> None:
    """Raises CheckpointError for latents normalised channel by channel."""
    if part.statistics is not None:
        raise CheckpointError(
            f"a {kind} cannot say `statistics`: pipelines of diffusers multiply all channels of latents by one number; "
            "train with `scale` in their place"
        )


def picture(size: Any, *, channels: int) -> tuple[ImageInfo, tuple[str, ...]]:
    """The picture by their `sample_size`, and what to tell of it."""
    if size is None:
        told = f"pictures of {DEFAULT_SIZE} × {DEFAULT_SIZE}, for want of a size; any other does as well"
        return ImageInfo(height=DEFAULT_SIZE, width=DEFAULT_SIZE, channels=channels), (told,)
    height, width = size if isinstance(size, tuple) else (size, size)
    return ImageInfo(height=height, width=width, channels=channels), ()


def refuse(kind: str, foreign: Foreign, problems: Iterable[str]) -> None:
    """Raises CheckpointError if there are problems."""
    if listed := ", ".join(problems):
        raise CheckpointError(f"{foreign.tensors.place}: this {kind} is no network of ours, for its {listed}")


def _frozen(value: Any) -> Any:
    """Lists as tuples, as our fields have them."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
