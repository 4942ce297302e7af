"""`diffloom convert` at the command line: what is told, what is refused, what is written. Oracle: the files themselves.

The models are OpenAI's, which need no library but torch; tests/bridge has the others.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from safetensors.torch import save_file
from torch import Tensor

import diffloom
from diffloom.bridge import theirs_of
from diffloom.checkpoint import open_checkpoint
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet import UNet

Invoke = Callable[..., Result]
ANSWERS = [
    *("--assume", "schedule=cosine"),
    *("--assume", "image_size=8"),
    *("--assume", "heads=1"),
]


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """A network with the names of OpenAI's checkpoints."""
    part = UNet(
        channels=(32, 64),
        blocks_per_level=1,
        attention_resolutions=(),
        heads=1,
        norm_eps=1e-5,
        downsample_padding="symmetric",
        time_cos_first=True,
        time_frequency_shift=0,
    )
    torch.manual_seed(0)
    module = part.build(space=SpaceInfo(channels=3, height=8, width=8), condition=ConditionInfo())
    (bridge,) = [bridge for bridge in UNet.bridges() if bridge.format == "openai"]
    return {name: tensor.contiguous().clone() for name, tensor in theirs_of(module, bridge).items()}


@pytest.fixture
def source(tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    save_file(tensors, tmp_path / "openai.safetensors")
    return tmp_path / "openai.safetensors"


def test_what_was_concluded_is_told_and_the_checkpoint_is_one_of_ours(
    invoke: Invoke, source: Path, tmp_path: Path
) -> None:
    dest = tmp_path / "ours.safetensors"
    result = invoke("convert", source, dest, "sampling.steps=3", *ANSWERS)
    assert result.exit_code == 0, result.output
    for fact in ("OpenAI", "pictures", "8 × 8 × 3", "cosine", "diffloom/unet", "openai weights", str(dest)):
        assert fact in result.output
    checkpoint = open_checkpoint(dest)
    assert checkpoint.header.digests.keys() == {"frozen", "weights", "ema"}
    assert checkpoint.digest("weights") == checkpoint.digest("ema")
    pipe = diffloom.load(dest, device="cpu")
    assert (pipe.document.sampling.steps, pipe.document.variance.name) == (3, "fixed_large")
    assert pipe.sample(n=1).tensor.shape == (1, 3, 8, 8)
    assert invoke("sample", dest, "-o", tmp_path / "x.png").exit_code == 0


def test_half_the_precision(invoke: Invoke, source: Path, tmp_path: Path) -> None:
    result = invoke("convert", source, tmp_path / "x.safetensors", "--dtype", "float16", *ANSWERS)
    assert result.exit_code == 0, result.output
    assert {t.dtype for t in open_checkpoint(tmp_path / "x.safetensors").group("ema").values()} == {
        torch.float16
    }


def refused(invoke: Invoke, dest: Path, *words: object) -> str:
    """What the command says when it refuses, having written nothing."""
    before = {path: path.read_bytes() for path in dest.parent.iterdir() if path.is_file()}
    result = invoke("convert", *words)
    assert result.exit_code == 2, result.output
    assert {path: path.read_bytes() for path in dest.parent.iterdir() if path.is_file()} == before
    return result.output


def test_questions_are_asked_with_their_answers(invoke: Invoke, source: Path, tmp_path: Path) -> None:
    dest = tmp_path / "x.safetensors"
    told = refused(invoke, dest, source, dest)
    assert "--assume heads=1" in told
    assert "--assume image_size=" in told
    assert "--assume schedule=linear" in refused(invoke, dest, source, dest, *ANSWERS[2:])


@pytest.mark.parametrize("how", ["missing", "extra", "renamed", "misshapen"])
def test_one_name_too_few_or_too_many(
    invoke: Invoke, tensors: dict[str, Tensor], how: str, tmp_path: Path
) -> None:
    changed, name = dict(tensors), "out.2.bias"
    if how in ("missing", "renamed"):
        del changed[name]
    if how in ("extra", "renamed"):
        changed["out.2.bia"] = tensors[name].clone()
    if how == "misshapen":
        changed[name] = torch.zeros(5)
    save_file(changed, tmp_path / "theirs.safetensors")
    dest = tmp_path / "x.safetensors"
    told = refused(invoke, dest, tmp_path / "theirs.safetensors", dest, *ANSWERS)
    assert "out.2.bia" in told
    assert "nothing was loaded" in told


def test_pickles(invoke: Invoke, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(tensors, tmp_path / "theirs.pt")
    dest = tmp_path / "x.safetensors"
    told = refused(invoke, dest, tmp_path / "theirs.pt", dest, *ANSWERS)
    assert "theirs.pt: is a pickle; pass --pickle" in told
    result = invoke("convert", tmp_path / "theirs.pt", dest, "--pickle", *ANSWERS)
    assert result.exit_code == 0, result.output


def test_what_cannot_be_converted(invoke: Invoke, source: Path, tmp_path: Path, run_folder: Path) -> None:
    dest = tmp_path / "x.safetensors"
    assert "no such file or folder" in refused(invoke, dest, tmp_path / "nowhere", dest)
    assert "is diffloom's own already" in refused(invoke, dest, run_folder, dest)
    assert "ends in .safetensors" in refused(invoke, dest, source, tmp_path / "x.pt")
    assert "exists already" in refused(invoke, dest, source, source)
    assert "train.stepz" in refused(invoke, dest, source, dest, "train.stepz=3", *ANSWERS)
    assert "expected KEY=VALUE" in refused(invoke, dest, source, dest, "--assume", "schedule")
    told = refused(invoke, dest, source, dest, *ANSWERS, "--assume", "predicton=v")
    assert "--assume predicton answers no question" in told


def test_a_cut_off_file(invoke: Invoke, source: Path, tmp_path: Path) -> None:
    source.write_bytes(source.read_bytes()[:-50])
    dest = tmp_path / "x.safetensors"
    assert "openai.safetensors: is cut off" in refused(invoke, dest, source, dest, *ANSWERS)
