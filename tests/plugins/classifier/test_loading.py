"""A classifier's file: all of it or nothing. Oracle: state dicts of names and shapes that are written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from diffloom.bridge import theirs_of
from diffloom.errors import CheckpointError
from diffloom.kinds import SpaceInfo
from diffloom_classifier.loading import classifier
from diffloom_classifier.names import OpenAIClassifier
from diffloom_classifier.shape import EncoderShape

SPACE = SpaceInfo(channels=3, height=8, width=8)
SHAPE = EncoderShape(
    classes=5, channels=(32, 64), blocks_per_level=1, attention_resolutions=(4,), head_channels=16
)


@pytest.fixture
def state(original: Callable[..., Any]) -> dict[str, torch.Tensor]:
    """Theirs of the same network."""
    theirs = original(
        image_size=8,
        in_channels=3,
        out_channels=5,
        model_channels=32,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_ds=(2,),
        num_head_channels=16,
    )
    found: dict[str, torch.Tensor] = theirs.state(dtype=torch.float32)
    return found


@pytest.mark.parametrize("is_pickle", [False, True])
def test_a_file_is_read_to_the_last_bit(
    is_pickle: bool, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """As safetensors or, allowed, as the pickle that guided-diffusion publishes; nothing of it is to be trained."""
    path = tmp_path / ("classifier.pt" if is_pickle else "classifier.safetensors")
    torch.save(state, path) if is_pickle else save_file(state, path)
    network = classifier(SHAPE, SPACE, str(path), pickle=is_pickle)
    again = theirs_of(network, OpenAIClassifier())
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    path.unlink()
    assert classifier(SHAPE, SPACE, str(path), pickle=is_pickle) is network, "it is read once"


def test_a_pickle_is_read_when_allowed_only(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "classifier.pt")
    with pytest.raises(CheckpointError, match=r"classifier.pt: is a pickle; .*`pickle: true`"):
        classifier(SHAPE, SPACE, str(tmp_path / "classifier.pt"), pickle=False)


def test_half_precision_is_brought_to_float32(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """In which gradients of 1e-8 are not 0."""
    path = tmp_path / "half.safetensors"
    save_file({name: tensor.half() for name, tensor in state.items()}, path)
    network = classifier(SHAPE, SPACE, str(path), pickle=False)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert torch.equal(network.enter.weight, state["input_blocks.0.0.weight"].half().float())


def dropped(state: dict[str, torch.Tensor]) -> None:
    del state["middle_block.1.qkv.bias"]


def added(state: dict[str, torch.Tensor]) -> None:
    state["out.7.weight"] = torch.zeros(1)


def of_another_shape(state: dict[str, torch.Tensor]) -> None:
    state["out.2.positional_embedding"] = torch.zeros(64, 65)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (dropped, "1 missing: middle_block.1.qkv.bias"),
        (added, "1 left over: out.7.weight"),
        (of_another_shape, r"1 of another shape: out.2.positional_embedding \[64, 65\], not \[64, 17\]"),
    ],
)
def test_one_wrong_tensor_is_one_error(
    change: Callable[[dict[str, torch.Tensor]], None],
    problem: str,
    state: dict[str, torch.Tensor],
    tmp_path: Path,
) -> None:
    change(state)
    path = tmp_path / "classifier.safetensors"
    save_file(state, path)
    with pytest.raises(CheckpointError, match=problem) as caught:
        classifier(SHAPE, SPACE, str(path), pickle=False)
    told = str(caught.value)
    assert told.startswith(f"{path}: these openai weights are of another architecture; nothing was loaded")
    assert "sampling.guidance describes a classifier of 3×8×8 pictures; give the fields" in told


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none.safetensors: no such file or folder; check the name$"):
        classifier(SHAPE, SPACE, str(tmp_path / "none.safetensors"), pickle=False)
