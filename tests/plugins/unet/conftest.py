"""diffusers' `UNet2DModel`s of many shapes, and ours with their weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom_unet import UNetModel
from diffloom_unet.diffusers_weights import from_diffusers


def levels(attends: str) -> dict[str, Any]:
    """diffusers' block types from a word such as "-A--", A where a level attends."""
    prefix = ["Attn" if letter == "A" else "" for letter in attends]
    return {
        "down_block_types": tuple(f"{word}DownBlock2D" for word in prefix),
        "up_block_types": tuple(f"{word}UpBlock2D" for word in reversed(prefix)),
    }


GOOGLE = {
    "norm_eps": 1e-6,
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
}
"""What the configurations of google/ddpm-cifar10-32 and its sisters say, beside widths and levels."""

OPTIONS: dict[str, dict[str, Any]] = {
    "cifar10": {**GOOGLE, **levels("-A--"), "block_out_channels": (128, 256, 256, 256)},
    "class-conditional": {
        **GOOGLE,
        **levels("-A"),
        "block_out_channels": (32, 64),
        "norm_num_groups": 8,
        "num_class_embeds": 11,
        "in_channels": 1,
        "out_channels": 1,
    },
    "their defaults, narrow": {**levels("-AAA"), "block_out_channels": (32, 64, 96, 128)},
    "not square": {**GOOGLE, **levels("--A"), "block_out_channels": (32, 32, 64), "layers_per_block": 1},
    "one level, dropout": {**levels("A"), "block_out_channels": (32,), "dropout": 0.3, "norm_num_groups": 4},
    "attention everywhere": {
        **GOOGLE,
        **levels("AAA"),
        "block_out_channels": (16, 32, 24),
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "layers_per_block": 3,
    },
    "six levels": {**levels("----A-"), "block_out_channels": (32, 32, 64, 64, 96, 96)},
    "scale and shift": {
        **levels("-A"),
        "block_out_channels": (32, 64),
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 8,  # else the attention in their middle is not normalised
        "num_class_embeds": 5,
        "norm_num_groups": 8,
    },
    "in is not out": {
        **levels("A-"),
        "block_out_channels": (32, 64),
        "in_channels": 4,
        "out_channels": 8,
        "flip_sin_to_cos": False,
    },
}

SIZES = {"class-conditional": (8, 8), "not square": (16, 24), "one level, dropout": (7, 5)}
"""Height and width; 32 × 32 where nothing is said."""


@dataclass(frozen=True)
class Twins:
    """diffusers' network and ours with its weights, both in evaluation mode, and an input for them."""

    theirs: nn.Module
    ours: UNetModel
    config: dict[str, Any]
    x_BCHW: Tensor
    t_B: Tensor
    class_B: Tensor | None

    def their_output(self) -> Tensor:
        """Their network's output."""
        out: Tensor = self.theirs(self.x_BCHW, self.t_B, class_labels=self.class_B).sample
        return out

    def our_output(self) -> Tensor:
        """Our network's output."""
        out: Tensor = self.ours(self.x_BCHW, self.t_B, Condition(class_B=self.class_B))
        return out


def shake(module: nn.Module) -> None:
    """Draw anew the weights that start at 0 or 1, where a layer taken for another would not show."""
    for parameter in module.parameters():
        if parameter.dim() == 1 or not parameter.any():
            parameter.data += 0.2 * torch.randn_like(parameter)


@pytest.fixture
def shaken() -> Callable[[UNetModel], UNetModel]:
    """A network without zeros and ones, in evaluation mode."""

    def shaken(module: UNetModel) -> UNetModel:
        shake(module)
        return module.eval()

    return shaken


@pytest.fixture
def make_twins() -> Callable[[str, torch.dtype], Twins]:
    """Twins by the name of their shape."""

    def make(shape: str, dtype: torch.dtype) -> Twins:
        torch.manual_seed(0)
        theirs = UNet2DModel(**OPTIONS[shape]).eval()
        shake(theirs)
        arguments, weights = from_diffusers(theirs.state_dict(), theirs.config)
        ours = UNetModel(**arguments).eval()
        ours.load_state_dict(weights)
        classes = arguments["classes"]
        return Twins(
            theirs=theirs.to(dtype),
            ours=ours.to(dtype),
            config=dict(theirs.config),
            x_BCHW=torch.randn(2, arguments["in_channels"], *SIZES.get(shape, (32, 32)), dtype=dtype),
            t_B=torch.tensor([999.0, 12.5]),
            class_B=torch.tensor([0, classes - 1]) if classes else None,
        )

    return make


@pytest.fixture(params=list(OPTIONS))
def shape(request: pytest.FixtureRequest) -> str:
    """The name of every shape in turn."""
    name: str = request.param
    return name
