"""Weights of a network that computes otherwise. Oracle: the configuration that diffusers saved beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import diffloom
from diffloom.bridge.habits import differences
from diffloom.config.plain import plain
from diffloom.errors import CheckpointError

PARTS = {"backbone": "unet", "space": "vae", "text": "text_encoder"}
CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("backbone", {"attention_head_dim": 4}, r"attend: heads 2 here, 4 there"),
    ("backbone", {"norm_eps": 1e-6}, r"eps 1e-05 here, 1e-06 there"),
    ("backbone", {"downsample_padding": 0}, r"edges \(1, 1, 1, 1\) here, \(0, 1, 0, 1\) there"),
    ("backbone", {"flip_sin_to_cos": False}, r"sinusoids: cos_first True here, False there"),
    ("space", {"norm_num_groups": 2}, r"num_groups 4 here, 2 there"),
    ("text", {"num_attention_heads": 8}, r"attn: num_heads 4 here, 8 there"),
    ("text", {"hidden_act": "gelu"}, r"QuickGELU here, GELU there"),
]


@pytest.fixture(scope="module")
def described(sd_folder: Path) -> Callable[[], dict[str, Any]]:
    """The configuration of the small Stable Diffusion, as a mapping to change."""
    document = diffloom.load(sd_folder, device="cpu").document
    return lambda: plain(document)


@pytest.fixture
def altered(sd_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the pipeline's folder in which one part's configuration says something else."""

    def make(part: str, **fields: Any) -> Path:
        folder = shutil.copytree(sd_folder, tmp_path / "altered")
        file = folder / PARTS[part] / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
        return folder

    return make


def section_of(values: dict[str, Any], part: str) -> dict[str, Any]:
    section: dict[str, Any] = (
        values["conditioners"]["prompt"]["encoders"][0] if part == "text" else values[part]
    )
    return section


@pytest.mark.parametrize(("part", "fields", "message"), CHANGES, ids=lambda value: str(value)[:30])
def test_other_habits_are_refused(
    part: str, fields: dict[str, Any], message: str, described: Any, altered: Any
) -> None:
    values = described()
    section_of(values, part)["weights"] = str(altered(part, **fields) / PARTS[part])
    with pytest.raises(CheckpointError, match=rf"nothing was loaded(.|\n)*{message}"):
        diffloom.build(values, device="cpu")


def test_a_whole_model_with_one_other_part_is_refused(described: Any, altered: Any) -> None:
    folder = altered("backbone", attention_head_dim=4)
    with pytest.raises(CheckpointError, match="heads 2 here, 4 there"):
        diffloom.build({**described(), "weights": str(folder)}, device="cpu")


@pytest.mark.parametrize("part", ["backbone", "space", "text"])
def test_the_same_habits_fill(part: str, described: Any, sd_folder: Path) -> None:
    values = described()
    section_of(values, part)["weights"] = str(sd_folder / PARTS[part])
    if part == "text":
        section_of(values, part).update(
            layer="penultimate", pad="zero"
        )  # how it is read is not the file's to say
    module = diffloom.build({**values}, device="cpu").module
    name, theirs = {
        "backbone": ("backbone.enter.weight", "conv_in.weight"),
        "space": ("space.encoder.stages.0.parts.0.weight", "encoder.conv_in.weight"),
        "text": ("conditioners.prompt.towers.0.text.ln_final.weight", "final_layer_norm.weight"),
    }[part]
    (file,) = (sd_folder / PARTS[part]).glob("*.safetensors")
    tensors = {key.removeprefix("text_model."): tensor for key, tensor in load_file(file).items()}
    assert torch.equal(module.state_dict()[name], tensors[theirs])


def test_how_it_is_trained_is_ours(described: Any, sd_folder: Path) -> None:
    values = described()
    values["backbone"] |= {"dropout": 0.3, "weights": str(sd_folder / "unet")}
    assert diffloom.build(values, device="cpu").module is not None


def test_a_file_that_does_not_say_is_taken_at_our_word(
    described: Any, sd_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "unet.safetensors"
    shutil.copy(sd_folder / "unet" / "diffusion_pytorch_model.safetensors", file)
    values = described()
    values["backbone"] |= {"heads": 4, "weights": str(file)}
    assert diffloom.build(values, device="cpu").module is not None


def test_only_parts_with_the_same_tensors_are_compared() -> None:
    one = nn.Sequential(nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3, padding=1), nn.Dropout(0.1))
    other = nn.Sequential(nn.GroupNorm(4, 4), nn.Conv2d(4, 8, 3), nn.Dropout(0.2))
    assert list(differences(one, other)) == ["0: num_groups 2 here, 4 there"]
    assert list(differences(one, one.eval())) == []
