"""`diffloom sample` with scales for each sample and further conditions. Oracle: the Python API drawing the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import diffloom
from diffloom.pictures import read_recipe

Invoke = Callable[..., Result]


def test_scales_take_turns(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    words = ["--label", 7, "--guidance", 2, "--guidance", 5, "-n", 3, "--steps", 2, "-o", tmp_path / "out"]
    result = invoke("sample", run_folder, *words)
    assert result.exit_code == 0, result.output
    expected = diffloom.load(run_folder, device="cpu").sample(
        label=[7, 7, 7], guidance=[2.0, 5.0, 2.0], steps=2
    )
    for index, (picture, scale) in enumerate(zip(expected.images, (2.0, 5.0, 2.0), strict=True)):
        path = tmp_path / "out" / f"{index:05d}.png"
        with Image.open(path) as drawn:
            assert np.array_equal(np.asarray(drawn), np.asarray(picture))
        assert read_recipe(path)["sampling"]["guidance"]["scale"] == scale


def test_scales_alone_say_how_many(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    """Without conditions too; the film is of the first sample."""
    words = [
        "--guidance",
        1,
        "--guidance",
        4,
        "--steps",
        2,
        "-o",
        tmp_path / "out",
        "--film",
        tmp_path / "film.png",
    ]
    result = invoke("sample", run_folder, *words)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    assert read_recipe(tmp_path / "film.png")["sampling"]["guidance"]["scale"] == 1.0


def test_a_further_condition(run_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    """Its two words are skipped where the model is looked for, wherever the option stands."""
    path = tmp_path / "x.png"
    words = [
        "--also",
        0.5,
        "label=1",
        run_folder,
        "--also",
        -0.2,
        "label=4",
        "--label",
        7,
        "--steps",
        2,
        "-o",
        path,
    ]
    result = invoke("sample", *words)
    assert result.exit_code == 0, result.output
    also = [(0.5, {"label": 1}), (-0.2, {"label": 4})]
    expected = diffloom.load(run_folder, device="cpu").sample(label=7, also=also, steps=2)
    with Image.open(path) as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(expected.images[0]))
    assert read_recipe(path)["also"] == [[0.5, {"label": [1]}], [-0.2, {"label": [4]}]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("label", "--also 'label': give a weight and NAME=VALUE, of one of this model's conditions (label)"),
        ("colour=red", "--also 'colour=red': give a weight and NAME=VALUE"),
        ("label=eleven", "--also 'label=eleven': unknown label 'eleven'"),
    ],
)
def test_a_further_condition_that_is_none(run_folder: Path, invoke: Invoke, text: str, told: str) -> None:
    result = invoke("sample", run_folder, "--label", 7, "--also", 0.5, text, "--steps", 1)
    assert result.exit_code == 2
    assert told in result.output.replace("\n", " ")
