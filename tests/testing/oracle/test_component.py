"""The oracle in a YAML file. Oracles: the conformance kit, the fields as they were given, and messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

import diffloom
from diffloom.errors import ConfigError
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom.testing import check_component
from diffloom.testing.oracle import Oracle

SPACE = SpaceInfo(channels=3, height=5, width=4)
FILE = """
image: {size: 2, channels: 1}
conditioners: {label: {type: class_label, classes: 2, dropout: 0.1}}
backbone: {type: oracle, std: 0.2, means: [[-0.5, 0.0], [0.5]], shares: [[1, 1], [2]]}
schedule: cosine
prediction: v
sampling: {sampler: ddim, steps: 40, spacing: trailing}
"""


def test_conformance() -> None:
    assert check_component(Oracle) == []


def test_a_file_runs_without_training(tmp_path: Path) -> None:
    """Class 1 is one Gaussian about 0.5, and class 0 two; 200 pictures of 4 pixels each, 5 standard errors.

    The means of 200 pictures; 40 steps are right to 0.01. One false alarm in 10⁶.
    """
    (tmp_path / "oracle.yaml").write_text(FILE)
    pipe = diffloom.build(tmp_path / "oracle.yaml", device="cpu")
    for label, mean, std in ((1, 0.5, 0.1), (0, -0.25, 0.27), (None, 0.125, 0.42)):
        # the mean of four pixels has the standard deviation of the mean pictures and half that of a pixel
        found = pipe.sample(n=200, seed=1, label=label).tensor.mean().item()
        assert abs(found - mean) < 5 * std / 200**0.5 + 0.01


def test_means_and_shares_are_as_given() -> None:
    oracle = Oracle(means=((-0.5, 0.0), (0.5,)), shares=((1.0, 1.0), (2.0,)), std=0.2)
    mixture = oracle.mixture(space=SPACE, condition=ConditionInfo(classes=3))
    assert mixture.shape == SPACE.shape
    assert mixture.means_JCHW.amin((1, 2, 3)).tolist() == mixture.means_JCHW.amax((1, 2, 3)).tolist()
    assert mixture.means_JCHW[:, 0, 0, 0].tolist() == [-0.5, 0.0, 0.5]
    assert mixture.weights_J.tolist() == [0.25, 0.25, 0.5]
    assert mixture.stds_J.tolist() == [0.2] * 3
    assert mixture.classes_J.tolist() == [0, 0, 1]
    assert mixture.classes == 2


def test_drawn_means_are_smooth_keyed_and_as_wide_as_said() -> None:
    """Of 400 pictures the mean square is spread², within 5 standard errors: few waves make few degrees of freedom.

    27 amplitudes of a picture, most of them small: its mean square has at most √2 times spread² as deviation.
    """
    space = SpaceInfo(channels=3, height=16, width=16)
    means = Oracle(modes=400, spread=0.3).mixture(space=space, condition=ConditionInfo()).means_JCHW
    assert abs(means.square().mean().item() / 0.09 - 1) < 5 * 2**0.5 / 400**0.5
    assert means.diff(dim=3).square().mean() < 0.1 * means.square().mean()
    fewer = Oracle(modes=3, spread=0.3).mixture(space=space, condition=ConditionInfo()).means_JCHW
    assert torch.equal(fewer, means[:3])
    other = Oracle(modes=3, spread=0.3, seed=1).mixture(space=space, condition=ConditionInfo()).means_JCHW
    assert not torch.equal(fewer, other)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"means": ((0.0,),), "modes": 2}, "means says how many modes there are; leave modes out"),
        ({"means": ((0.0,),), "shares": ((1.0, 2.0),)}, "give one share for each mean"),
        ({"means": ()}, "at least 1 item"),
        ({"std": 0.0}, "greater than 0"),
        ({"shares": ((0.0,),)}, "greater than 0"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Oracle(**fields)


@pytest.mark.parametrize(
    ("fields", "condition", "message"),
    [
        (
            {},
            ConditionInfo(tokens=8),
            "knows classes and no other condition; take the conditioner class_label",
        ),
        ({}, ConditionInfo(vector=2), "knows classes and no other condition"),
        ({}, ConditionInfo(concat=1), "knows classes and no other condition"),
        ({"means": ((0.0,),)}, ConditionInfo(classes=3), "means describes 1 classes, and the model has 2"),
        (
            {"shares": ((1.0, 1.0),)},
            ConditionInfo(classes=3),
            "shares describes 1 classes, and the model has 2",
        ),
        ({"shares": ((1.0,),)}, ConditionInfo(), "shares for 1 modes do not fit classes of 2 modes"),
    ],
)
def test_conditions_it_does_not_know_are_refused(
    fields: dict[str, Any], condition: ConditionInfo, message: str
) -> None:
    for ask in (Oracle(**fields).check, Oracle(**fields).build):
        with pytest.raises(ValueError, match=message):
            ask(space=SPACE, condition=condition)


def test_what_is_refused_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "oracle.yaml").write_text(FILE.replace("classes: 2", "classes: 4"))
    with pytest.raises(ConfigError, match=r"4:11: backbone: means describes 2 classes, and the model has 4"):
        diffloom.build(tmp_path / "oracle.yaml", device="cpu")
