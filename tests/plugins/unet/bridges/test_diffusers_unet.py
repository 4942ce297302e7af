"""Oracle: diffusers' own `UNet2DModel`, its configuration, its state dict and its reader of old checkpoints.

That outputs are equal is tested beside the network, with the weights brought over by this bridge.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from safetensors.torch import save_file
from torch import Tensor

from diffloom.bridge import AmbiguousError, Foreign, Inferred, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet import UNet
from diffloom_unet.bridges.diffusers_names import FORMER, TODAY
from diffloom_unet.bridges.diffusers_unet import DiffusersUNet, FormerDiffusersUNet
from diffloom_unet.bridges.options import UNET

SMALL = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 8,
}


def small(**options: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the configuration of a small `UNet2DModel`."""
    torch.manual_seed(0)
    theirs = UNet2DModel(**{**SMALL, **options})
    return theirs.state_dict(), {"_class_name": "UNet2DModel", **theirs.config}


def infer(state_dict: dict[str, Tensor], config: dict[str, Any], **assume: str) -> Inferred:
    inferred = DiffusersUNet().infer(Foreign(MemoryTensors(state_dict), config, assume))
    assert inferred is not None
    return inferred


def test_the_options_are_theirs() -> None:
    theirs = {
        name: parameter.default
        for name, parameter in inspect.signature(UNet2DModel.__init__).parameters.items()
        if name != "self"
    }
    assert {**UNET.translated, **UNET.fixed, UNET.idle: None} == theirs


def test_every_number_arrives_once() -> None:
    state_dict, config = small(num_class_embeds=3)
    inferred = infer(state_dict, config)
    ours = inferred.build()
    fill(ours, MemoryTensors(state_dict), DiffusersUNet())
    given = torch.cat([value.flatten() for value in state_dict.values()]).sort().values
    arrived = torch.cat([value.flatten() for value in ours.state_dict().values()]).sort().values
    assert torch.equal(arrived, given)
    assert inferred.told == ("pixels attend at 4 of 8 × 8, and in the middle",)


def test_their_defaults_are_the_network_of_ldm_4() -> None:
    """274,056,163 parameters: LDM-4 unconditional, Rombach et al. 2022."""
    with torch.device("meta"):
        theirs = UNet2DModel()
        inferred = infer(theirs.state_dict(), {"_class_name": "UNet2DModel"}, image_size="64")
        ours = inferred.build()
    assert sum(parameter.numel() for parameter in ours.parameters()) == 274_056_163
    written = theirs_of(ours, DiffusersUNet())
    assert {name: tensor.shape for name, tensor in written.items()} == {
        name: tensor.shape for name, tensor in theirs.state_dict().items()
    }
    assert inferred.part.head_channels == 8  # theirs; LDM's published network has heads of 32


ROUND_TRIPS: dict[str, dict[str, Any]] = {
    "Ho et al.'s habits": {
        "norm_eps": 1e-6,
        "attention_head_dim": None,
        "downsample_padding": 0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
    },
    "classes, heads, not square": {"num_class_embeds": 5, "attention_head_dim": 4, "sample_size": (8, 16)},
    "scale and shift, with variances": {
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 4,
        "in_channels": 1,
        "out_channels": 2,
    },
    "residual resampling": {
        "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "upsample_type": "resnet",
    },
    "a stacked picture": {"in_channels": 6, "dropout": 0.5, "layers_per_block": 2},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_there_and_back(name: str, dtype: torch.dtype) -> None:
    """Theirs → ours → theirs → ours, bit for bit, and by a configuration that builds their network again."""
    torch.manual_seed(0)
    theirs = UNet2DModel(**{**SMALL, **ROUND_TRIPS[name]}).to(dtype)
    weights = theirs.state_dict()
    inferred = infer(weights, {"_class_name": "UNet2DModel", **theirs.config})
    ours = inferred.build()
    fill(ours, MemoryTensors(weights), DiffusersUNet())
    written, config = theirs_of(ours, DiffusersUNet()), DiffusersUNet().config(inferred)
    assert same(written, weights)
    UNet2DModel.from_config(config).load_state_dict(written, strict=True)

    back = infer(written, json.loads(json.dumps(config)))
    assert (back.part, back.shapes) == (inferred.part, inferred.shapes)
    ours_again = back.build()
    fill(ours_again, MemoryTensors(written), DiffusersUNet())
    assert same(ours_again.state_dict(), ours.state_dict())


def same(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    """The same names, types and bits."""
    return some.keys() == others.keys() and all(
        some[name].dtype == other.dtype and torch.equal(some[name], other) for name, other in others.items()
    )


@pytest.mark.parametrize(
    ("part", "condition", "told"),
    [
        (
            UNet(heads=4, channels=(32, 64), attention_resolutions=(8,)),
            ConditionInfo(),
            "4 heads at widths 32, 64",
        ),
        (UNet(channels=(32, 64), attention_resolutions=(), time_width=64), ConditionInfo(), "time_width 64"),
        (UNet(channels=(32, 64), attention_resolutions=()), ConditionInfo(vector=3), "a vector"),
    ],
)
def test_what_theirs_cannot_express(part: UNet, condition: ConditionInfo, told: str) -> None:
    space = SpaceInfo(channels=3, height=8, width=8)
    with pytest.raises(CheckpointError, match=f"UNet2DModel cannot express {told}"):
        DiffusersUNet().config(Inferred(part, {"space": space, "condition": condition}))


def test_heads_by_count_are_theirs_where_levels_are_as_wide() -> None:
    part = UNet(heads=4, channels=(32, 64), attention_resolutions=())
    shapes = {"space": SpaceInfo(channels=3, height=8, width=8), "condition": ConditionInfo()}
    assert DiffusersUNet().config(Inferred(part, shapes))["attention_head_dim"] == 16


def test_what_does_not_fit_is_listed_at_once() -> None:
    state_dict, config = small()
    ours = infer(state_dict, config).build()
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    state_dict["mid_block.attentions.0.to_k.weigth"] = state_dict.pop("mid_block.attentions.0.to_k.weight")
    state_dict["conv_in.weight"] = torch.zeros(8, 4, 3, 3)
    with pytest.raises(CheckpointError) as caught:
        fill(ours, MemoryTensors(state_dict), DiffusersUNet())
    for problem in (
        "1 missing: mid_block.attentions.0.to_k.weight",
        "1 left over: mid_block.attentions.0.to_k.weigth",
        "conv_in.weight [8, 4, 3, 3], not [8, 3, 3, 3]",
    ):
        assert problem in str(caught.value)
    assert same(ours.state_dict(), before)


@pytest.mark.parametrize(
    "option",
    [
        {"act_fn": "gelu"},
        {"add_attention": False},
        {"center_input_sample": True},
        {"down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D")},
        {"upsample_type": "resnet"},
        {"upsample_type": None},
        {"resnet_time_scale_shift": "ada_group"},
        {"attn_norm_num_groups": 2},
        {"time_embedding_type": "fourier"},
        {"mid_block_scale_factor": 2**0.5},
        {"time_embedding_dim": 64},
        {"downsample_padding": 2},
        {"up_block_types": ("UpBlock2D", "UpBlock2D")},
        {"down_block_types": ("DownBlock2D", "SkipDownBlock2D")},
        {"class_embed_type": "timestep"},
    ],
)
def test_another_network_is_refused_by_name(option: dict[str, Any]) -> None:
    state_dict, config = small()
    with pytest.raises(
        CheckpointError, match=rf"this UNet2DModel is no network of ours, for its .*{next(iter(option))}"
    ):
        infer(state_dict, {**config, **option})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"out_channels": 5}, "3 channels in and 5 out, neither as many nor twice as many"),
        ({"norm_num_groups": 3}, "norm_groups 3 does not divide the channels 8, 16"),
        ({"attention_head_dim": 5}, "16 channels cannot be split into heads of 5 channels"),
        ({"sample_size": 9}, "height and width divisible by 2, and the space is 9 x 9"),
        ({"layers_per_block": 0}, "greater than 0"),
    ],
)
def test_what_the_component_refuses(options: dict[str, Any], told: str) -> None:
    state_dict, config = small()
    with pytest.raises(CheckpointError, match=f"^state dict: .*{told}"):
        infer(state_dict, {**config, **options})


def test_the_size_is_asked_for() -> None:
    state_dict, config = small(sample_size=None)
    with pytest.raises(AmbiguousError) as caught:
        infer(state_dict, config)
    assert "  --assume image_size=64: pixels attend at 32 of 64\n" in str(caught.value)
    assert infer(state_dict, config, image_size="16").part.attention_resolutions == (8,)
    with pytest.raises(CheckpointError, match="--assume image_size=large: it is a number from 1 on"):
        infer(state_dict, config, image_size="large")


def test_the_answer_goes_before_the_configuration() -> None:
    assert infer(*small(), image_size="32").shapes["space"] == SpaceInfo(channels=3, height=32, width=32)


def test_options_that_theirs_has_not_are_told() -> None:
    state_dict, config = small()
    told = infer(state_dict, {**config, "_name_or_path": "x", "decay": 0.999, "power": 1.0}).told
    assert told[1:] == ("ignored, as UNet2DModel has no such options: decay, power",)


def test_another_class_is_none_of_ours() -> None:
    state_dict, config = small()
    foreign = Foreign(MemoryTensors(state_dict), {**config, "_class_name": "UNet1DModel"})
    assert DiffusersUNet().infer(foreign) is None


def test_the_configuration_must_be_there() -> None:
    state_dict, _ = small()
    with pytest.raises(CheckpointError, match=r"config\.json must be beside it"):
        DiffusersUNet().infer(Foreign(MemoryTensors(state_dict)))
    assert DiffusersUNet().infer(Foreign(MemoryTensors({"moon.weight": torch.zeros(2)}))) is None


def test_former_attention_names(tmp_path: Path) -> None:
    """Checkpoints from before diffusers renamed its attention layers, which diffusers itself still reads."""
    state_dict, config = small()
    old = dict(state_dict)
    for key in state_dict:
        for today, then in zip(TODAY, FORMER, strict=True):
            if f".{today}." in key:
                old[key.replace(f".{today}.", f".{then}.")] = old.pop(key)
    assert sum("proj_attn.weight" in key for key in old) == 4  # one on the way down, the middle, two up
    save_file(old, tmp_path / "diffusion_pytorch_model.safetensors")
    UNet2DModel(**SMALL).save_config(tmp_path)
    theirs = UNet2DModel.from_pretrained(tmp_path)

    foreign = Foreign(MemoryTensors(old), config)
    assert DiffusersUNet().infer(foreign) is None
    assert FormerDiffusersUNet().infer(Foreign(MemoryTensors(state_dict), config)) is None
    inferred = FormerDiffusersUNet().infer(foreign)
    assert inferred is not None
    ours = inferred.build()
    fill(ours, MemoryTensors(old), FormerDiffusersUNet())
    assert same(theirs_of(ours, DiffusersUNet()), theirs.state_dict())
    assert same(theirs_of(ours, FormerDiffusersUNet()), old)
