"""diffusers' `UNet2DConditionModel`s like the published ones, small, with inputs for them and for ours.

Legend: B batch, C channels, H height, W width, D width, L tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from diffloom.condition import Condition


def blocks(attends: str) -> dict[str, Any]:
    """Their block types from a word such as "-A-", A where a level attends."""
    prefix = ["CrossAttn" if letter == "A" else "" for letter in attends]
    return {
        "down_block_types": tuple(f"{word}DownBlock2D" for word in prefix),
        "up_block_types": tuple(f"{word}UpBlock2D" for word in reversed(prefix)),
    }


SHAPES: dict[str, dict[str, Any]] = {
    "SD 1.x": {
        **blocks("AAA-"),
        "block_out_channels": (32, 64, 96, 96),
        "attention_head_dim": 4,
        "cross_attention_dim": 20,
        "sample_size": 16,
    },
    "SD 2.x": {
        **blocks("AAA-"),
        "block_out_channels": (32, 64, 96, 96),
        "attention_head_dim": (2, 4, 6, 6),
        "cross_attention_dim": 24,
        "use_linear_projection": True,
        "upcast_attention": True,
        "sample_size": 24,
    },
    "XL base": {
        **blocks("-AA"),
        "block_out_channels": (32, 64, 128),
        "attention_head_dim": (1, 2, 4),
        "transformer_layers_per_block": (1, 2, 3),
        "cross_attention_dim": 28,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 20,
        "sample_size": 8,
    },
    "XL refiner": {
        **blocks("-A-"),
        "block_out_channels": (32, 64, 128),
        "attention_head_dim": (2, 4, 8),
        "transformer_layers_per_block": 2,
        "layers_per_block": 1,
        "cross_attention_dim": 20,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 5 * 4 + 20,
    },
    "inpainting, one level": {
        **blocks("A"),
        "block_out_channels": (64,),
        "attention_head_dim": 8,
        "cross_attention_dim": (12,),
        "layers_per_block": (3,),
        "in_channels": 9,
        "sample_size": (8, 4),
    },
    "unCLIP": {
        **blocks("AA"),
        "block_out_channels": (32, 64),
        "attention_head_dim": (2, 4),
        "cross_attention_dim": 12,
        "use_linear_projection": True,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": 14,
        "sample_size": 8,
    },
    "classes, variances": {
        **blocks("A-"),
        "block_out_channels": (64, 32),
        "attention_head_dim": 8,
        "cross_attention_dim": 12,
        "num_class_embeds": 7,
        "out_channels": 8,
        "resnet_time_scale_shift": "scale_shift",
        "sample_size": 8,
    },
    "timestep": {
        **blocks("A-"),
        "block_out_channels": (64, 32),
        "attention_head_dim": 4,
        "cross_attention_dim": 12,
        "class_embed_type": "timestep",
        "norm_num_groups": 8,
        "downsample_padding": 0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "sample_size": 8,
    },
}


@dataclass(frozen=True)
class Example:
    """An input for a network of theirs, and the same for ours."""

    theirs: nn.Module
    x_BCHW: Tensor
    t_B: Tensor
    tokens_BLD: Tensor
    extra: Mapping[str, Any]
    """What else theirs is called with."""

    def their_output(self) -> Tensor:
        """Their network's output."""
        out: Tensor = self.theirs(self.x_BCHW, self.t_B, self.tokens_BLD, **self.extra).sample
        return out

    def our_output(self, ours: nn.Module, concat: int = 0) -> Tensor:
        """Our network's, which takes a stacked picture of `concat` channels by itself."""
        x_BCHW, stacked_BCHW = self.x_BCHW.split([self.x_BCHW.shape[1] - concat, concat], dim=1)
        condition = Condition(
            tokens_BLD=self.tokens_BLD,
            concat_BCHW=stacked_BCHW if concat else None,
            **self._class_or_vector(),
        )
        out: Tensor = ours(x_BCHW, self.t_B, condition)
        return out

    def _class_or_vector(self) -> dict[str, Tensor]:
        labels = self.extra.get("class_labels")
        if self.theirs.config.class_embed_type == "timestep":
            return {"vector_BD": self.theirs.time_proj(labels).to(self.x_BCHW.dtype)}
        if labels is not None:
            return {"vector_BD" if labels.is_floating_point() else "class_B": labels}
        added = self.extra.get("added_cond_kwargs")
        if added is None:
            return {}
        waves_BD = self.theirs.add_time_proj(added["time_ids"].flatten()).reshape(2, -1).to(self.x_BCHW.dtype)
        return {"vector_BD": torch.cat([added["text_embeds"], waves_BD], dim=1)}


def example(theirs: nn.Module) -> Example:
    """Random inputs of the shapes and type that a network of theirs takes."""
    torch.manual_seed(1)
    options, dtype = theirs.config, theirs.dtype
    extra: dict[str, Any] = {}
    if options.addition_embed_type == "text_time":
        sizes_B = torch.tensor([[9, 8, 0, 0, 7, 6], [512, 768, 3, 4, 512, 512]])
        ids = options.projection_class_embeddings_input_dim // options.addition_time_embed_dim
        ids = 6 if ids >= 8 else 5
        text = options.projection_class_embeddings_input_dim - ids * options.addition_time_embed_dim
        extra["added_cond_kwargs"] = {
            "text_embeds": torch.randn(2, text, dtype=dtype),
            "time_ids": sizes_B[:, :ids],
        }
    elif options.class_embed_type == "projection":
        extra["class_labels"] = torch.randn(2, options.projection_class_embeddings_input_dim, dtype=dtype)
    elif options.class_embed_type == "timestep" or options.num_class_embeds:
        extra["class_labels"] = torch.tensor([0, 6])
    tokens = options.cross_attention_dim
    return Example(
        theirs=theirs,
        x_BCHW=torch.randn(2, options.in_channels, 8, 16, dtype=dtype),
        t_B=torch.tensor([999.0, 12.5]),
        tokens_BLD=torch.randn(2, 5, tokens if isinstance(tokens, int) else tokens[0], dtype=dtype),
        extra=extra,
    )


@pytest.fixture(scope="session")
def make_theirs() -> Callable[..., nn.Module]:
    """A network of theirs by the name of its shape, with no zeros and ones among its weights; not to be changed."""

    @cache
    def make(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
        torch.manual_seed(0)
        theirs = UNet2DConditionModel(**SHAPES[name]).eval()
        for parameter in theirs.parameters():
            if parameter.dim() == 1:
                parameter.data += 0.2 * torch.randn_like(parameter)
        return theirs.to(dtype)

    return make


@pytest.fixture(scope="session")
def make_example() -> Callable[[nn.Module], Example]:
    """Random inputs for a network of theirs."""
    return example


@pytest.fixture(params=list(SHAPES))
def condition_shape(request: pytest.FixtureRequest) -> str:
    """The name of every shape in turn."""
    name: str = request.param
    return name
