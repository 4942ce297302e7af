"""A configuration of diffusers: what is said, what is meant where nothing is said, what we cannot build."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from diffloom.bridge import Foreign
from diffloom.errors import CheckpointError

EQUAL = {"act_fn": ("silu", "swish"), "upcast_attention": (False, True)}
"""Options whose values all name the same network: two words, or a precision."""


@dataclass(frozen=True)
class OptionTable:
    """The options of one of their classes."""

    of: str
    """The class, as `_class_name` has it."""
    translated: Mapping[str, Any]
    """Those that we translate, with their defaults."""
    fixed: Mapping[str, Any]
    """Those that must stand at their defaults for the network to be one of ours."""
    idle: str
    """The one that says something of networks only that are refused for another."""

    def read(self, foreign: Foreign) -> dict[str, Any] | None:
        """The values of the translated options; None when it is no network of that class.

        Raises CheckpointError for weights of theirs without a configuration, and listing the options that make it
        a network we cannot build.
        """
        config, tensors = foreign.config, foreign.tensors
        if config is None:
            if "conv_in.weight" in tensors and "time_embedding.linear_1.weight" in tensors:
                raise CheckpointError(
                    f"{tensors.place}: names of a diffusers U-Net, whose config.json must be beside it"
                )
            return None
        if config.get("_class_name") != self.of:
            return None
        given = {name: _frozen(value) for name, value in config.items()}
        self.refuse(
            foreign,
            (
                f"{name} {given[name]!r}"
                for name, value in self.fixed.items()
                if name in given and given[name] not in EQUAL.get(name, (value,))
            ),
        )
        return {name: given.get(name, value) for name, value in self.translated.items()}

    def ignored(self, foreign: Foreign) -> list[str]:
        """A line that names the options which theirs has not, such as those of an average that was saved with it."""
        known = {*self.translated, *self.fixed, self.idle}
        unknown = [name for name in foreign.config or () if name not in known and not name.startswith("_")]
        return [f"ignored, as {self.of} has no such options: {', '.join(unknown)}"] if unknown else []

    def refuse(self, foreign: Foreign, problems: Iterable[str]) -> None:
        """Raises CheckpointError if there are problems."""
        if listed := ", ".join(problems):
            raise CheckpointError(
                f"{foreign.tensors.place}: this {self.of} is no network of ours, for its {listed}"
            )


def _frozen(value: Any) -> Any:
    """Lists as tuples, to compare them."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


UNET = OptionTable(
    of="UNet2DModel",
    translated={
        "sample_size": None,
        "in_channels": 3,
        "out_channels": 3,
        "freq_shift": 0,
        "flip_sin_to_cos": True,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (224, 448, 672, 896),
        "layers_per_block": 2,
        "downsample_padding": 1,
        "downsample_type": "conv",
        "upsample_type": "conv",
        "dropout": 0.0,
        "attention_head_dim": 8,
        "norm_num_groups": 32,
        "attn_norm_num_groups": None,
        "norm_eps": 1e-5,
        "resnet_time_scale_shift": "default",
        "num_class_embeds": None,
        "time_embedding_dim": None,
    },
    fixed={
        "center_input_sample": False,
        "time_embedding_type": "positional",
        "mid_block_type": "UNetMidBlock2D",
        "mid_block_scale_factor": 1,
        "act_fn": "silu",
        "add_attention": True,
        "class_embed_type": None,
    },
    idle="num_train_timesteps",
)
"""U-Nets whose pixels attend to each other only."""

CONDITION = OptionTable(
    of="UNet2DConditionModel",
    translated={
        "sample_size": None,
        "in_channels": 4,
        "out_channels": 4,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "downsample_padding": 1,
        "dropout": 0.0,
        "norm_num_groups": 32,
        "norm_eps": 1e-5,
        "cross_attention_dim": 1280,
        "transformer_layers_per_block": 1,
        "attention_head_dim": 8,
        "num_attention_heads": None,
        "use_linear_projection": False,
        "class_embed_type": None,
        "addition_embed_type": None,
        "addition_time_embed_dim": None,
        "num_class_embeds": None,
        "resnet_time_scale_shift": "default",
        "time_embedding_dim": None,
        "projection_class_embeddings_input_dim": None,
        "only_cross_attention": False,
    },
    fixed={
        "center_input_sample": False,
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "mid_block_scale_factor": 1,
        "act_fn": "silu",
        "reverse_transformer_layers_per_block": None,
        "encoder_hid_dim": None,
        "encoder_hid_dim_type": None,
        "dual_cross_attention": False,
        "upcast_attention": False,
        "resnet_skip_time_act": False,
        "resnet_out_scale_factor": 1.0,
        "time_embedding_type": "positional",
        "time_embedding_act_fn": None,
        "timestep_post_act": None,
        "time_cond_proj_dim": None,
        "conv_in_kernel": 3,
        "conv_out_kernel": 3,
        "attention_type": "default",
        "class_embeddings_concat": False,
        "mid_block_only_cross_attention": None,
        "cross_attention_norm": None,
    },
    idle="addition_embed_type_num_heads",
)
"""U-Nets that read tokens."""
