"""What a YAML file may say of the U-Net, and what it is told when that cannot be."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pydantic
import pytest
import torch

from diffloom.condition import Condition
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom.testing import check_component
from diffloom_unet import UNet

SMALL: dict[str, Any] = {"channels": (8, 16, 16), "norm_groups": 4, "attention_resolutions": (4,)}
SPACE = SpaceInfo(channels=1, height=8, width=8)


def test_naming_and_building_the_component_parts_with_torch() -> None:
    code = """
import sys, diffloom_unet
diffloom_unet.UNet(channels=(32, 64)).downsampling
assert "torch" not in sys.modules
diffloom_unet.UNetModel
assert "torch" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("height", "width", "resolutions", "levels"),
    [
        (32, 32, (16,), (1,)),
        (32, 32, (4, 32), (3, 0)),
        (32, 32, (), ()),
        (32, 48, (16, 8), (1, 2)),  # the shorter side names a level
        (48, 32, (16, 8), (1, 2)),
    ],
)
def test_resolutions_become_levels(
    height: int, width: int, resolutions: tuple[int, ...], levels: tuple[int, ...]
) -> None:
    space = SpaceInfo(channels=3, height=height, width=width)
    assert UNet(attention_resolutions=resolutions).attention_levels(space) == levels


def test_attention_stands_at_the_levels_named() -> None:
    """Only there, and in the middle, can a pixel move another one out of the convolutions' reach."""
    with torch.device("meta"):
        network = UNet(**SMALL).build(space=SPACE, condition=ConditionInfo())
    widths = [name for name, _ in network.named_modules() if name.endswith("qkv")]
    # down: stacks 0, 1, halving, 3, 4, halving, ...; up: three for each level, the coarsest first
    assert widths == [
        f"trunk.{place}.parts.1.qkv" for place in ("down.3", "down.4", "middle", "up.3", "up.4", "up.5")
    ]


@pytest.mark.parametrize(
    ("fields", "space", "condition", "message"),
    [
        (
            {"attention_resolutions": (3,)},
            SPACE,
            ConditionInfo(),
            "no level has 3 pixels; the levels have 8, 4, 2",
        ),
        (
            {},
            SpaceInfo(1, 10, 8),
            ConditionInfo(),
            "3 levels need a height and width divisible by 4.* 10 x 8",
        ),
        ({}, SpaceInfo(1, 8, 10), ConditionInfo(), "divisible by 4.* 8 x 10"),
        ({}, SPACE, ConditionInfo(tokens=768), "tokens need a backbone with cross-attention"),
        (
            {"norm_groups": 8, "channels": (16, 8), "attention_resolutions": (1,)},
            SpaceInfo(1, 2, 2),
            ConditionInfo(),
            "always normalises to zero",
        ),
        ({"head_channels": 5}, SPACE, ConditionInfo(), "16 channels cannot be split into heads of 5"),
        ({"heads": 3}, SPACE, ConditionInfo(), "16 channels cannot be split into 3 heads"),
    ],
)
def test_shapes_that_cannot_work(
    fields: dict[str, Any], space: SpaceInfo, condition: ConditionInfo, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        UNet(**{**SMALL, **fields}).build(space=space, condition=condition)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channels": (32, 48)}, "norm_groups 32 does not divide the channels 48"),
        ({"channels": (32, 32)}, "normalises away the embeddings of time and class"),
        ({"channels": ()}, "at least 1 item"),
        ({"dropout": 1.0}, "less than 1"),
        ({"time_frequency_shift": 2}, "0 or 1"),
        ({"channels": (3, 3), "norm_groups": 1}, "width is even and above 2, not 3; give another time_width"),
        ({"time_width": 2}, "width is even and above 2, not 2"),
        (
            {"heads": 4, "head_channels": 32},
            "heads 4 is the number of heads and head_channels 32 their width",
        ),
        ({"resample": "pool"}, "'conv' or 'residual'"),
        ({"downsample_padding": "reflect"}, "'asymmetric' or 'symmetric'"),
        ({"chanels": (32,)}, "Extra inputs are not permitted"),
    ],
)
def test_fields_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        UNet(**fields)


@pytest.mark.parametrize(
    ("info", "given", "message"),
    [
        (ConditionInfo(classes=3), Condition(), "fills no slot, and this network reads class_B"),
        (ConditionInfo(), Condition(class_B=torch.tensor([1])), "fills class_B, and this network reads none"),
        (ConditionInfo(concat=2), Condition(), "reads concat_BCHW"),
    ],
)
def test_conditions_that_do_not_fit(info: ConditionInfo, given: Condition, message: str) -> None:
    network = UNet(**SMALL).build(space=SPACE, condition=info)
    with pytest.raises(ValueError, match=message):
        network(torch.zeros(1, 1, 8, 8), torch.zeros(1), given)


def test_pictures_that_do_not_fit() -> None:
    network = UNet(**SMALL).build(space=SPACE, condition=ConditionInfo())
    with pytest.raises(ValueError, match=r"multiples of 4, not \(8, 6\)"):
        network(torch.zeros(1, 1, 8, 6), torch.zeros(1))


def test_laws_of_the_kind() -> None:
    """The conformance kit's own laws, which any backbone must keep."""
    assert check_component(UNet) == []
