"""diffusers' `UNet2DModel`s of many shapes, and ours with their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from diffloom.bridge import Foreign, Inferred, MemoryTensors, fill
from diffloom.condition import Condition
from diffloom_unet import UNetModel
from diffloom_unet.bridges.diffusers_unet import DiffusersUNet


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
    "residual resampling": {  # as ADM, whose blocks' attention diffusers has at levels of their own
        "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "block_out_channels": (32, 32, 64),
        "attention_head_dim": 16,
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 32,
        "num_class_embeds": 4,
        "out_channels": 6,
    },
}

SIZES = {"class-conditional": (8, 8), "not square": (16, 24), "one level, dropout": (7, 5)}
"""Height and width; 32 × 32 where nothing is said."""


@dataclass(frozen=True)
class Twins:
    """diffusers' network and ours with its weights, both in evaluation mode, and an input for them."""

    theirs: nn.Module
    ours: UNetModel
    inferred: Inferred
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

    def translated(self, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by their names, such as gradients, by ours."""
        return filled(self.inferred, theirs).state_dict()


def filled(inferred: Inferred, theirs: Mapping[str, Tensor]) -> UNetModel:
    """Our network with copies of these tensors in it."""
    with torch.device("meta"):
        ours = inferred.build()
    copies = {name: tensor.detach().clone() for name, tensor in theirs.items()}
    fill(ours, MemoryTensors(copies), DiffusersUNet())
    assert isinstance(ours, UNetModel)
    return ours


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
        config = {"_class_name": "UNet2DModel", **theirs.config}
        size = {"image_size": str(SIZES.get(shape, (32, 32))[0])}
        inferred = DiffusersUNet().infer(Foreign(MemoryTensors(theirs.state_dict()), config, size))
        assert inferred is not None
        classes = inferred.shapes["condition"].classes
        channels = theirs.config["in_channels"]
        return Twins(
            theirs=theirs.to(dtype),
            ours=filled(inferred, theirs.state_dict()).to(dtype).eval(),
            inferred=inferred,
            x_BCHW=torch.randn(2, channels, *SIZES.get(shape, (32, 32)), dtype=dtype),
            t_B=torch.tensor([999.0, 12.5]),
            class_B=torch.tensor([0, classes - 1]) if classes else None,
        )

    return make


@pytest.fixture(params=list(OPTIONS))
def shape(request: pytest.FixtureRequest) -> str:
    """The name of every shape in turn."""
    name: str = request.param
    return name
