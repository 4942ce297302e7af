"""What a YAML file may say of the U-Net that reads tokens, and what it is told when that cannot be."""

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
from diffloom_unet import CrossAttentionUNet, CrossAttentionUNetModel

SMALL: dict[str, Any] = {
    "channels": (8, 16),
    "blocks_per_level": 1,
    "transformer_depth": (1, 0),
    "heads": 2,
    "norm_groups": 4,
}
SPACE = SpaceInfo(channels=4, height=8, width=8)
TEXT = ConditionInfo(tokens=6)


def test_naming_and_checking_the_component_parts_with_torch() -> None:
    code = """
import sys
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet import CrossAttentionUNet
CrossAttentionUNet(heads=8).check(space=SpaceInfo(4, 64, 64), condition=ConditionInfo(tokens=768))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("fields", "space", "condition", "message"),
    [
        ({}, SPACE, ConditionInfo(classes=3), "attends to tokens, and no conditioner gives any; use unet"),
        ({}, SpaceInfo(4, 9, 8), TEXT, "2 levels need a height and width divisible by 2.* 9 x 8"),
        ({"heads": 3}, SPACE, TEXT, "8 channels cannot be split into 3 heads"),
        (
            {"heads": None, "head_channels": 5},
            SPACE,
            TEXT,
            "8 channels cannot be split into heads of 5 channels",
        ),
        # the middle attends at the coarsest width, though that level does not
        (
            {"heads": None, "head_channels": 8, "channels": (8, 20)},
            SPACE,
            TEXT,
            "20 channels cannot be split into heads of 8",
        ),
    ],
)
def test_shapes_that_cannot_work(
    fields: dict[str, Any], space: SpaceInfo, condition: ConditionInfo, message: str
) -> None:
    part = CrossAttentionUNet(**{**SMALL, **fields})
    for action in (part.check, part.build):
        with pytest.raises(ValueError, match=message):
            action(space=space, condition=condition)


def test_levels_that_do_not_attend_may_have_any_width() -> None:
    part = CrossAttentionUNet(
        **{**SMALL, "heads": None, "head_channels": 8, "channels": (8, 20), "middle_depth": 0}
    )
    network = part.build(space=SPACE, condition=TEXT)
    assert network(torch.zeros(1, 4, 8, 8), torch.zeros(1), Condition(tokens_BLD=torch.zeros(1, 2, 6))).shape


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"transformer_depth": (1,)},
            "there are 2 levels, and transformer_depth tells of 1; give one number for each",
        ),
        ({"transformer_depth": (0, 0), "middle_depth": 0}, "so that no token is read; use unet"),
        ({"transformer_depth": (1, -1)}, "greater than or equal to 0"),
        (
            {"head_channels": 4},
            "heads 2 is the number of heads and head_channels 4 their width; give one of them",
        ),
        ({"projection": "1x1"}, "'conv' or 'linear'"),
        ({"channels": (8, 18)}, "norm_groups 4 does not divide the channels 18"),
        ({"attention_resolutions": (8,)}, "Extra inputs are not permitted"),
    ],
)
def test_fields_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        CrossAttentionUNet(**{**SMALL, **fields})


TOKENS = torch.zeros(1, 2, 6)


@pytest.mark.parametrize(
    ("info", "given", "message"),
    [
        (TEXT, Condition(), "fills no slot, and this network reads tokens_BLD"),
        (
            ConditionInfo(tokens=6, vector=3),
            Condition(tokens_BLD=TOKENS),
            "fills tokens_BLD, and this network reads tokens_BLD, vector_BD",
        ),
        (
            TEXT,
            Condition(tokens_BLD=TOKENS, class_B=torch.tensor([0])),
            "fills class_B, tokens_BLD, and this network reads tokens_BLD",
        ),
    ],
)
def test_conditions_that_do_not_fit(info: ConditionInfo, given: Condition, message: str) -> None:
    network = CrossAttentionUNet(**SMALL).build(space=SPACE, condition=info)
    with pytest.raises(ValueError, match=message):
        network(torch.zeros(1, 4, 8, 8), torch.zeros(1), given)


def test_the_plain_module_is_told_too() -> None:
    with pytest.raises(ValueError, match="there are 4 levels, and transformer_depth tells of 2"):
        CrossAttentionUNetModel(token_width=6, transformer_depth=(1, 1))


def test_laws_of_the_kind() -> None:
    """The conformance kit's own laws, which any backbone must keep."""
    assert check_component(CrossAttentionUNet) == []
