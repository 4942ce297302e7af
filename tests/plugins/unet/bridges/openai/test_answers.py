"""What neither names nor shapes say is asked, and what does not fit is refused. Oracle: the choices spelled out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.bridge import AmbiguousError, Foreign, Inferred, MemoryTensors, fill
from diffloom.errors import CheckpointError
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet import UNet
from diffloom_unet.bridges.openai import OpenAIUNet, OpenAIUNetNewOrder

Make = Callable[..., nn.Module]
FLAGS: dict[str, Any] = {"num_channels": 32, "mult": (1, 2), "attention": (1,), "heads": 2, "classes": 5}
ANSWERS = {"heads": "2", "attention_order": "legacy", "image_size": "16"}


@pytest.fixture
def weights(guided: Make) -> dict[str, Tensor]:
    """A small network of theirs."""
    return guided(**FLAGS).state_dict()


def infer(weights: Mapping[str, Tensor], **assume: str) -> Inferred:
    inferred = OpenAIUNet().infer(Foreign(MemoryTensors(weights), assume=assume))
    assert inferred is not None
    return inferred


def test_everything_is_asked_at_once(weights: dict[str, Tensor]) -> None:
    with pytest.raises(AmbiguousError) as caught:
        infer(weights)
    question, *choices = str(caught.value).splitlines()
    assert question == (
        "state dict: neither names nor shapes say how many heads attention has and how its projection is ordered "
        "and how large pictures are; say which:"
    )
    answers = [
        choice.split()[1].rstrip(":") for choice in choices
    ]  # numbers that divide the 64 channels that attend
    assert answers == [
        *(f"heads={count}" for count in (1, 2, 4, 8, 16)),
        *(f"head_channels={width}" for width in (8, 16, 32, 64)),
        "attention_order=legacy",
        "attention_order=new",
        *(f"image_size={size}" for size in (16, 32, 64, 128, 256, 512)),
    ]
    assert "--assume image_size=64: pixels attend at 32 of 64" in str(caught.value)


def test_what_is_told(weights: dict[str, Tensor]) -> None:
    assert infer(weights, **ANSWERS).told == (
        "levels 32, 64 wide, of 2 blocks each; pixels attend at levels 1 and in the middle",
        "heads 2: as you say",
        "legacy order, queries, keys and values of each head together: as you say",
        "pixels attend at 8 of 16: as you say",
        "6 channels out: predictions of 3, and their variances",
    )


def test_the_order_of_a_single_head_is_not_asked(weights: dict[str, Tensor]) -> None:
    assert infer(weights, heads="1", image_size="16").part.heads == 1
    foreign = Foreign(MemoryTensors(weights), assume={**ANSWERS, "heads": "1", "attention_order": "new"})
    assert OpenAIUNetNewOrder().infer(foreign) is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"heads": "3"}, "64 channels cannot be split into 3 heads"),
        ({"head_channels": "2"}, "give one"),
        ({"attention_order": "odd"}, "attention_order=odd: it is legacy or new"),
        ({"image_size": "15"}, "divisible by 2"),
        ({"image_size": "0"}, "image_size=0: it is a number from 1 on"),
    ],
)
def test_answers_that_do_not_fit(answer: dict[str, str], told: str, weights: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match=told):
        infer(weights, **{**ANSWERS, **answer})


@pytest.mark.parametrize("change", ["renamed", "missing", "extra", "misshapen"])
@pytest.mark.parametrize(
    "name", ["label_emb.weight", "middle_block.1.qkv.bias", "output_blocks.2.2.in_layers.2.weight"]
)
def test_one_wrong_key_is_refused_and_named(change: str, name: str, weights: dict[str, Tensor]) -> None:
    ours = infer(weights, **ANSWERS).build()
    before = {key: tensor.clone() for key, tensor in ours.state_dict().items()}
    if change in ("renamed", "extra"):
        weights[f"{name}s"] = weights[name]
    if change in ("renamed", "missing"):
        del weights[name]
    if change == "misshapen":
        weights[name] = weights[name][:-3]
    told = {
        "renamed": [f"1 missing: {name}", f"1 left over: {name}s"],
        "missing": [f"1 missing: {name}"],
        "extra": [f"1 left over: {name}s"],
        "misshapen": [f"1 of another shape: {name} ["],
    }
    with pytest.raises(CheckpointError) as caught:
        fill(ours, MemoryTensors(weights), OpenAIUNet())
    assert all(line in str(caught.value) for line in told[change])
    assert all(torch.equal(ours.state_dict()[key], tensor) for key, tensor in before.items())


def test_levels_that_do_not_make_a_network(weights: dict[str, Tensor]) -> None:
    fewer = {name: tensor for name, tensor in weights.items() if not name.startswith("output_blocks.5.")}
    with pytest.raises(CheckpointError, match="6 input_blocks and 5 output_blocks, 1 of which resample"):
        infer(fewer, **ANSWERS)
    del weights["time_embed.0.weight"]
    with pytest.raises(CheckpointError, match=r"without time_embed\.0\.weight"):
        infer(weights, **ANSWERS)


def test_a_classifier_is_none_of_ours(weights: dict[str, Tensor]) -> None:
    half = {name: tensor for name, tensor in weights.items() if not name.startswith("output_blocks.")}
    assert OpenAIUNet().infer(Foreign(MemoryTensors(half))) is None


@pytest.mark.parametrize(
    ("fields", "condition", "told"),
    [
        ({"norm_eps": 1e-6}, {}, "norm_eps 1e-06: theirs is always 1e-05"),
        ({"time_frequency_shift": 1}, {}, "time_frequency_shift 1"),
        ({"downsample_padding": "asymmetric"}, {}, "downsample_padding 'asymmetric'"),
        ({}, {"classes": 2, "vector": 3}, "classes beside a vector"),
    ],
)
def test_what_theirs_cannot_express(fields: dict[str, Any], condition: dict[str, int], told: str) -> None:
    habits = {
        "norm_eps": 1e-5,
        "downsample_padding": "symmetric",
        "time_cos_first": True,
        "time_frequency_shift": 0,
    }
    part = UNet(**{"channels": (32, 64), "attention_resolutions": (), **habits, **fields})
    shapes = {"space": SpaceInfo(3, 8, 8), "condition": ConditionInfo(**condition)}
    with pytest.raises(CheckpointError, match=f"guided-diffusion cannot express {told}"):
        OpenAIUNet().config(Inferred(part, shapes))


def test_padding_says_nothing_where_no_convolution_halves() -> None:
    habits = {"norm_eps": 1e-5, "resample": "residual", "time_cos_first": True, "time_frequency_shift": 0}
    part = UNet(channels=(32, 64), attention_resolutions=(), **habits)
    shapes = {"space": SpaceInfo(3, 8, 8), "condition": ConditionInfo()}
    assert OpenAIUNet().config(Inferred(part, shapes)) is None
