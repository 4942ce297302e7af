"""Oracle: diffusers' converter of single files, which must give back the weights that we wrote under LDM's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from torch import Tensor, nn

from diffloom.bridge import AmbiguousError, Foreign, Inferred, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet import CrossAttentionUNet
from diffloom_unet.bridges.diffusers_cross_attention import (
    DiffusersCrossAttentionUNet,
    DiffusersProjectedUNet,
)
from diffloom_unet.bridges.ldm import LDMUNet

Make = Callable[..., Any]
HEADS = {
    "SD 1.x": {"heads": "4"},
    "SD 2.x": {"head_channels": "16"},
    "XL base": {"head_channels": "32"},
    "XL refiner": {"head_channels": "16"},
    "inpainting, one level": {"heads": "8"},
    "unCLIP": {"head_channels": "16"},
    "classes, variances": {"heads": "8"},
}
"""What neither names nor shapes of these say. Their other habits are latent-diffusion's."""


def ours_of(theirs: nn.Module) -> tuple[Inferred, nn.Module]:
    """Our network with the weights of diffusers'."""
    bridge = DiffusersProjectedUNet() if theirs.config.class_embed_type else DiffusersCrossAttentionUNet()
    config = {"_class_name": "UNet2DConditionModel", **theirs.config}
    inferred = bridge.infer(Foreign(MemoryTensors(theirs.state_dict()), config))
    assert inferred is not None
    ours = inferred.build()
    fill(ours, MemoryTensors(theirs.state_dict()), bridge)
    return inferred, ours


def infer(weights: Mapping[str, Tensor], **assume: str) -> Inferred:
    """What the bridges make of weights under LDM's names; exactly one knows them."""
    foreign = Foreign(MemoryTensors(weights), assume=assume)
    known = [found for bridge in CrossAttentionUNet.bridges() if (found := bridge.infer(foreign)) is not None]
    assert len(known) == 1
    return known[0]


def same(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    """The same names, types and bits."""
    return some.keys() == others.keys() and all(
        some[name].dtype == other.dtype and torch.equal(some[name], other) for name, other in others.items()
    )


@pytest.mark.parametrize("name", HEADS)
def test_their_converter_gives_the_weights_back(name: str, make_theirs: Make) -> None:
    theirs = make_theirs(name)
    written = theirs_of(ours_of(theirs)[1], LDMUNet())
    prefixed = {f"model.diffusion_model.{key}": tensor for key, tensor in written.items()}
    blocks = theirs.config.layers_per_block
    options = {**theirs.config, "layers_per_block": blocks if isinstance(blocks, int) else blocks[0]}
    converted = convert_ldm_unet_checkpoint(prefixed, options)
    assert same(converted, theirs.state_dict())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", HEADS)
def test_there_and_back(name: str, dtype: torch.dtype, make_theirs: Make) -> None:
    """The network is inferred as diffusers' configuration says it is; ours → LDM's → ours → LDM's, bit for bit."""
    expected, ours = ours_of(make_theirs(name, dtype))
    written = theirs_of(ours, LDMUNet())
    inferred = infer(written, **HEADS[name])
    assert inferred.part == expected.part
    assert inferred.shapes["condition"] == expected.shapes["condition"]
    assert LDMUNet().config(inferred) is None
    with torch.device("meta"):
        ours_again = inferred.build()
    fill(ours_again, MemoryTensors(written), LDMUNet())
    assert same(ours_again.state_dict(), ours.state_dict())
    assert same(theirs_of(ours_again, LDMUNet()), written)


XL = {"head_channels": 64, "projection": "linear"}
PUBLISHED: dict[str, tuple[dict[str, Any], ConditionInfo, int, int]] = {
    "Stable Diffusion 1.x": ({"heads": 8}, ConditionInfo(tokens=768), 4, 859_520_964),
    "inpainting 1.x": ({"heads": 8}, ConditionInfo(tokens=768, concat=5), 4, 859_535_364),
    "Stable Diffusion 2.x": (XL, ConditionInfo(tokens=1024), 4, 865_910_724),
    "Stable Diffusion XL": (
        {**XL, "channels": (320, 640, 1280), "transformer_depth": (0, 2, 10), "middle_depth": 10},
        ConditionInfo(tokens=2048, vector=2816),
        4,
        2_567_463_684,
    ),
    "the refiner": (
        {**XL, "channels": (384, 768, 1536, 1536), "transformer_depth": (0, 4, 4, 0), "middle_depth": 4},
        ConditionInfo(tokens=1280, vector=2560),
        4,
        2_259_526_660,
    ),
    "LDM text-to-image": ({"heads": 8}, ConditionInfo(tokens=1280), 4, 872_300_484),
    "LDM-4 of ImageNet": (
        {"channels": (192, 384, 576, 960), "transformer_depth": (0, 1, 1, 1), "heads": 1},
        ConditionInfo(tokens=512),
        3,
        400_920_579,
    ),
    "LDM-8 of ImageNet": (
        {"channels": (256, 512, 1024), "transformer_depth": (1, 1, 1), "head_channels": 32},
        ConditionInfo(tokens=512),
        4,
        394_984_196,
    ),
}
"""Fields, conditions, channels of the space and parameters of networks everybody has; the counts are the originals'."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_are_known_by_names_and_shapes(name: str) -> None:
    fields, condition, channels, count = PUBLISHED[name]
    part, space = CrossAttentionUNet(**fields), SpaceInfo(channels=channels, height=64, width=64)
    with torch.device("meta"):
        written = theirs_of(part.build(space=space, condition=condition), LDMUNet())
        inferred = infer(written)
        built = inferred.build()
    assert (inferred.part, inferred.shapes["condition"]) == (part, condition)
    assert sum(parameter.numel() for parameter in built.parameters()) == count


def test_what_is_told() -> None:
    part = CrossAttentionUNet(heads=8)
    with torch.device("meta"):
        built = part.build(space=SpaceInfo(4, 64, 64), condition=ConditionInfo(tokens=768, concat=5))
    assert infer(theirs_of(built, LDMUNet())).told == (
        "levels 320, 640, 1280, 1280 wide, of 2 blocks each; transformers 1, 1, 1, 0 deep, 1 in the middle, "
        "read tokens 768 wide",
        "tokens 768 wide, heads 8: Stable Diffusion 1.x",
        "a space of 64 × 64; the network is the same in another, --assume image_size=",
        "9 channels in: a picture of 5 stacked on 4",
    )


def test_the_user_s_heads_go_before_the_published() -> None:
    with torch.device("meta"):
        built = CrossAttentionUNet(heads=8).build(
            space=SpaceInfo(4, 64, 64), condition=ConditionInfo(tokens=768)
        )
    inferred = infer(theirs_of(built, LDMUNet()), head_channels="40")
    assert (inferred.part.heads, inferred.part.head_channels) == (None, 40)
    assert inferred.told[1] == "tokens 768 wide, head_channels 40: as you say"


def test_heads_are_asked_for(make_theirs: Make) -> None:
    written = theirs_of(small_sd(make_theirs), LDMUNet())
    with pytest.raises(AmbiguousError) as caught:
        infer(written)
    answers = [line.split()[1] for line in str(caught.value).splitlines()[1:]]
    counts, widths = ("1:", "2:", "4:", "8:", "16:"), ("8:", "16:", "32:")  # those that divide 32, 64 and 96
    assert answers == [f"heads={n}" for n in counts] + [f"head_channels={n}" for n in widths]
    assert infer(written, heads="16").part.heads == 16


@pytest.mark.parametrize(
    ("assume", "told"),
    [
        ({"heads": "3"}, "32 channels cannot be split into 3 heads"),
        ({"head_channels": "64"}, "32 channels cannot be split into heads of 64 channels"),
        ({"heads": "4", "head_channels": "8"}, "give one"),
        ({"heads": "many"}, "heads=many: it is a number from 1 on"),
        ({"heads": "4", "image_size": "15"}, "divisible by 8"),
    ],
)
def test_answers_that_do_not_fit(assume: dict[str, str], told: str, make_theirs: Make) -> None:
    written = theirs_of(small_sd(make_theirs), LDMUNet())
    with pytest.raises(CheckpointError, match=told):
        infer(written, **assume)


@pytest.mark.parametrize(
    "name",
    [
        "time_embed.0.weight",
        "input_blocks.0.0.weight",
        "input_blocks.1.0.in_layers.2.weight",
        "input_blocks.4.1.transformer_blocks.0.ff.net.0.proj.weight",
        "input_blocks.3.0.op.bias",
        "middle_block.1.proj_in.weight",
        "output_blocks.5.2.conv.weight",
        "output_blocks.11.1.transformer_blocks.0.attn2.to_v.weight",
        "out.2.weight",
    ],
)
@pytest.mark.parametrize("change", ["renamed", "missing", "extra", "misshapen"])
def test_one_wrong_key_is_refused_and_named(change: str, name: str, make_theirs: Make) -> None:
    """The weights make no network of their own, and do not fill the one that they were made of."""
    ours = small_sd(make_theirs)
    weights = theirs_of(ours, LDMUNet())
    if change in ("renamed", "extra"):
        weights[f"{name}s"] = weights[name]
    if change in ("renamed", "missing"):
        del weights[name]
    if change == "misshapen":
        weights[name] = weights[name][:-1]
    told = {
        "renamed": [f"1 missing: {name}", f"1 left over: {name}s"],
        "missing": [f"1 missing: {name}"],
        "extra": [f"1 left over: {name}s"],
        "misshapen": ["1 of another shape: ", f"{name} [", ", not ["],
    }
    before = {key: tensor.clone() for key, tensor in ours.state_dict().items()}
    with pytest.raises(CheckpointError):
        load(weights)
    with pytest.raises(CheckpointError) as caught:
        fill(ours, MemoryTensors(weights), LDMUNet())
    assert all(line in str(caught.value) for line in told[change])
    assert same(ours.state_dict(), before)


@cache
def small_sd(make_theirs: Make) -> nn.Module:
    """Our network like SD 1.x's, made once; not to be changed."""
    return ours_of(make_theirs("SD 1.x"))[1]


def load(weights: Mapping[str, Tensor]) -> None:
    """Infer, build and fill."""
    with torch.device("meta"):
        ours = infer(weights, heads="4").build()
    fill(ours, MemoryTensors(weights), LDMUNet())


@pytest.mark.parametrize(
    "names", [["moon.weight"], ["input_blocks.0.0.weight", "middle_block.0.in_layers.0.weight"]]
)
def test_other_weights_are_none_of_ours(names: list[str]) -> None:
    """Nor is half a U-Net, such as a classifier or a ControlNet."""
    assert LDMUNet().infer(Foreign(MemoryTensors({name: torch.zeros(4, 4, 1, 1) for name in names}))) is None


@pytest.mark.parametrize(
    ("fields", "condition", "told"),
    [
        ({"norm_groups": 8}, {}, "norm_groups 8: theirs is always 32"),
        ({"time_cos_first": False}, {}, "time_cos_first False"),
        ({"downsample_padding": "asymmetric"}, {}, "downsample_padding 'asymmetric'"),
        ({}, {"classes": 2, "vector": 3}, "classes beside a vector"),
        ({"middle_depth": 0}, {}, "middle_depth 0"),
    ],
)
def test_what_theirs_cannot_express(fields: dict[str, Any], condition: dict[str, int], told: str) -> None:
    part = CrossAttentionUNet(**{"channels": (32, 64), "transformer_depth": (1, 0), **fields})
    shapes = {"space": SpaceInfo(4, 8, 8), "condition": ConditionInfo(tokens=3, **condition)}
    with pytest.raises(CheckpointError, match=f"latent-diffusion cannot express {told}"):
        LDMUNet().config(Inferred(part, shapes))
