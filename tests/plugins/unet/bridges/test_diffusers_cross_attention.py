"""Oracle: diffusers' `UNet2DConditionModel` with random weights, its outputs, its configuration and its names."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from diffloom.bridge import Foreign, Inferred, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet import CrossAttentionUNet
from diffloom_unet.bridges.diffusers_cross_attention import (
    DiffusersCrossAttentionUNet,
    DiffusersProjectedUNet,
)
from diffloom_unet.bridges.options import CONDITION

Make = Callable[..., Any]
CLASS_NAME = {"_class_name": "UNet2DConditionModel"}


def bridge_of(theirs: nn.Module) -> DiffusersCrossAttentionUNet:
    return DiffusersProjectedUNet() if theirs.config.class_embed_type else DiffusersCrossAttentionUNet()


def infer(theirs: nn.Module, **options: Any) -> Inferred:
    """What the bridges make of their network, with other options in its configuration; exactly one knows it."""
    foreign = Foreign(MemoryTensors(theirs.state_dict()), {**CLASS_NAME, **theirs.config, **options})
    known = [
        inferred
        for bridge in CrossAttentionUNet.bridges()
        if bridge.format == "diffusers" and (inferred := bridge.infer(foreign)) is not None
    ]
    assert len(known) == 1
    return known[0]


def ours_of(theirs: nn.Module) -> tuple[Inferred, nn.Module]:
    """Our network with their weights."""
    inferred = infer(theirs)
    with torch.device("meta"):
        ours = inferred.build()
    fill(ours, MemoryTensors(theirs.state_dict()), bridge_of(theirs))
    return inferred, ours.eval()


def same(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    """The same names, types and bits."""
    return some.keys() == others.keys() and all(
        some[name].dtype == other.dtype and torch.equal(some[name], other) for name, other in others.items()
    )


def test_the_options_are_theirs() -> None:
    theirs = {
        name: parameter.default
        for name, parameter in inspect.signature(UNet2DConditionModel.__init__).parameters.items()
        if name != "self"
    }
    assert {**CONDITION.translated, **CONDITION.fixed, CONDITION.idle: 64} == theirs


# float32 sums in another order (one projection for q, k and v) differ by some units in the last place, 1e-7 each
# layer; in float64 the same differences must fall to 1e-15 each, which no difference of mathematics would do.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_outputs(
    condition_shape: str, dtype: torch.dtype, tolerance: float, make_theirs: Make, make_example: Make
) -> None:
    theirs = make_theirs(condition_shape, dtype)
    inferred, ours = ours_of(theirs)
    example = make_example(theirs)
    with torch.no_grad():
        expected, given = (
            example.their_output(),
            example.our_output(ours, inferred.shapes["condition"].concat),
        )
    assert expected.std() > 0.1
    assert given.shape == expected.shape
    assert (given - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_there_and_back(condition_shape: str, dtype: torch.dtype, make_theirs: Make) -> None:
    """Theirs → ours → theirs → ours, bit for bit, and by a configuration that builds their network again."""
    theirs = make_theirs(condition_shape, dtype)
    bridge = bridge_of(theirs)
    inferred, ours = ours_of(theirs)
    written, config = theirs_of(ours, bridge), json.loads(json.dumps(bridge.config(inferred)))
    assert same(written, theirs.state_dict())
    again = UNet2DConditionModel.from_config(config).to(dtype)
    again.load_state_dict(written, strict=True)
    back, ours_again = ours_of(again)
    assert (back.part, back.shapes) == (inferred.part, inferred.shapes)
    assert same(ours_again.state_dict(), ours.state_dict())


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("SD 1.x", {"heads": 4, "transformer_depth": (1, 1, 1, 0), "middle_depth": 1}),
        ("SD 2.x", {"head_channels": 16, "projection": "linear"}),
        ("XL base", {"head_channels": 32, "transformer_depth": (0, 2, 3), "middle_depth": 3}),
        ("XL refiner", {"head_channels": 16, "transformer_depth": (0, 2, 0), "middle_depth": 2}),
    ],
)
def test_what_they_are_here(name: str, fields: dict[str, Any], make_theirs: Make) -> None:
    part = infer(make_theirs(name)).part.model_dump()
    assert {field: part[field] for field in fields} == fields


def test_what_is_told(make_theirs: Make) -> None:
    assert infer(make_theirs("XL refiner")).told == (
        "attention_head_dim is the number of heads: head_channels 16 at every level",
        "a vector of 40 numbers: a pooled text, and sizes of 4 numbers each",
        "a space of 64 × 64, for want of sample_size or --assume image_size=",
    )
    assert infer(make_theirs("inpainting, one level")).told == (
        "attention_head_dim is the number of heads: heads 8 at every level",
        "9 channels in: a picture of 5 stacked on 4",
    )


def test_num_attention_heads_goes_before(make_theirs: Make) -> None:
    assert infer(make_theirs("SD 1.x"), num_attention_heads=2).part.heads == 2


@pytest.mark.parametrize("change", ["renamed", "missing", "extra", "misshapen"])
def test_one_wrong_key_is_refused_and_named(change: str, make_theirs: Make) -> None:
    theirs = make_theirs("XL base")
    weights = dict(theirs.state_dict())
    name = "up_blocks.0.attentions.2.transformer_blocks.1.attn2.to_v.weight"
    told = {
        "renamed": [f"1 missing: {name}", "1 left over: moon"],
        "missing": [f"1 missing: {name}"],
        "extra": ["1 left over: moon"],
        "misshapen": [f"{name} [128, 28] [128, 29], not [128, 28] [128, 28]"],
    }
    if change in ("renamed", "missing"):
        del weights[name]
    if change in ("renamed", "extra"):
        weights["moon"] = torch.zeros(128, 28)
    if change == "misshapen":
        weights[name] = torch.zeros(128, 29)
    with torch.device("meta"):
        ours = infer(theirs).build()
    with pytest.raises(CheckpointError) as caught:
        fill(ours, MemoryTensors(weights), DiffusersCrossAttentionUNet())
    assert all(line in str(caught.value) for line in told[change])
    assert all(parameter.is_meta for parameter in ours.parameters())


@pytest.mark.parametrize(
    "option",
    [
        {"act_fn": "gelu"},
        {"addition_embed_type": "image"},
        {"attention_head_dim": (4, 4, 2, 4)},
        {"attention_head_dim": None},
        {"attention_head_dim": (4, 4)},
        {"attention_type": "gated"},
        {"center_input_sample": True},
        {"class_embed_type": "simple_projection"},
        {"class_embeddings_concat": True},
        {"conv_in_kernel": 1},
        {"cross_attention_dim": (20, 20, 24, 20)},
        {"down_block_types": ("SimpleCrossAttnDownBlock2D",) * 4},
        {"dual_cross_attention": True},
        {"encoder_hid_dim": 3},
        {"layers_per_block": (2, 2, 2, 1)},
        {"mid_block_type": None},
        {"mid_block_type": "UNetMidBlock2D"},
        {"only_cross_attention": (True, False, False, False)},
        {"projection_class_embeddings_input_dim": None, "addition_embed_type": "text_time"},
        {"resnet_skip_time_act": True},
        {"resnet_time_scale_shift": "spatial"},
        {"time_embedding_dim": 64},
        {"transformer_layers_per_block": ((1, 1), (1, 1), (1, 1), (1, 1))},
        {"up_block_types": ("UpBlock2D",) * 4},
    ],
    ids=str,
)
def test_another_network_is_refused_by_name(option: dict[str, Any], make_theirs: Make) -> None:
    told = rf"this UNet2DConditionModel is no network of ours, for its .*{next(iter(option))}"
    with pytest.raises(CheckpointError, match=told):
        infer(make_theirs("SD 1.x"), **option)


@pytest.mark.parametrize(
    ("fields", "condition", "told"),
    [
        ({"middle_depth": 0}, {}, "middle_depth 0"),
        ({"transformer_depth": (1, 2)}, {}, "a last transformer_depth of 2 beside middle_depth 1"),
        ({"resample": "residual"}, {}, "residual blocks between levels"),
        ({"time_width": 64}, {}, "time_width 64"),
        ({}, {"classes": 3, "vector": 3}, "classes beside a vector"),
    ],
)
def test_what_theirs_cannot_express(fields: dict[str, Any], condition: dict[str, int], told: str) -> None:
    part = CrossAttentionUNet(**{"channels": (32, 64), "transformer_depth": (1, 0), **fields})
    space = SpaceInfo(channels=4, height=8, width=8)
    shapes = {"space": space, "condition": ConditionInfo(tokens=3, **condition)}
    with pytest.raises(CheckpointError, match=f"UNet2DConditionModel cannot express {told}"):
        DiffusersProjectedUNet().config(Inferred(part, shapes))
