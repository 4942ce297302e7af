"""`diffloom.load` and `diffloom.build`. Oracle: the checkpoint's own tensors."""

import logging
from pathlib import Path

import pytest
import torch

import diffloom
from diffloom.checkpoint import open_checkpoint, save_checkpoint
from diffloom.errors import CheckpointError


@pytest.mark.parametrize(("weights", "group"), [("ema", "ema"), ("raw", "weights")])
def test_loads_the_weights_asked_for(run_folder: Path, weights: str, group: str) -> None:
    pipe = diffloom.load(run_folder, weights=weights, device="cpu")
    (path,) = (run_folder / "checkpoints").glob("*.safetensors")
    stored = open_checkpoint(path).tensors(group)
    state = pipe.module.state_dict()
    assert stored.keys() == state.keys()
    assert all(torch.equal(stored[name], state[name]) for name in stored)
    assert not pipe.module.training
    other = diffloom.load(path, weights={"ema": "raw", "raw": "ema"}[weights], device="cpu")
    assert any(
        not torch.equal(a, b)
        for a, b in zip(other.module.parameters(), pipe.module.parameters(), strict=True)
    )


def test_a_model_needs_no_data_to_be_loaded(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise AssertionError("data were opened")

    pipe = diffloom.load(run_folder, device="cpu")
    monkeypatch.setattr(type(pipe.document.data), "build", gone)
    diffloom.load(run_folder, device="cpu").sample(label=3, steps=1)


def test_other_plugin_versions_are_told(
    run_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = (run_folder / "checkpoints").glob("*.safetensors")
    checkpoint = open_checkpoint(path)
    groups = {"ema": checkpoint.group("ema"), "frozen": checkpoint.group("frozen")}
    older = checkpoint.config.replace(f'diffloom: "{diffloom.__version__}"', 'diffloom: "0.0.1"')
    assert older != checkpoint.config
    save_checkpoint(tmp_path / "old.safetensors", groups, step=3, config=older)
    with caplog.at_level(logging.WARNING, logger="diffloom"):
        diffloom.load(path, device="cpu")
        assert not caplog.records
        diffloom.load(tmp_path / "old.safetensors", device="cpu")
    assert f"was trained with diffloom 0.0.1, and {diffloom.__version__} is installed" in caplog.text


def test_a_folder_without_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no checkpoints yet"):
        diffloom.load(tmp_path)
