"""Where weights begin. Oracle: the tensors of the run that a configuration names."""

from pathlib import Path

import pytest
import torch
from PIL import Image

import diffloom
from diffloom import config
from diffloom.checkpoint import open_checkpoint
from diffloom.errors import CheckpointError, ConfigError, DataError
from diffloom.plugins import load_plugins
from diffloom.training import train
from diffloom.training.preparation import prepare
from diffloom.training.run_folder import checkpoint_of

SMALL = [
    "backbone.channels=[8,16]",
    "backbone.blocks_per_level=1",
    "backbone.head_channels=8",
    "backbone.norm_groups=4",
    "prediction=v",
]
SHORT = [
    "train.steps=1",
    "train.batch_size=4",
    "train.lr_schedule.warmup_steps=0",
    "train.sample_every=null",
    "train.lr=1e-9",
]


def averages(run: Path) -> dict[str, torch.Tensor]:
    return open_checkpoint(checkpoint_of(run)).tensors("ema")


@pytest.mark.parametrize("place", ["weights", "backbone.weights"])
def test_a_new_model_begins_with_a_run_s_averaged_weights(
    place: str, run_folder: Path, configs: Path
) -> None:
    pipe = diffloom.build(configs / "digits.yaml", [*SMALL, f"{place}={run_folder}"], seed=5, device="cpu")
    theirs = averages(run_folder)
    assert len(theirs) > 30
    for name, tensor in pipe.module.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name


def test_training_begins_there_and_its_checkpoints_need_the_file_no_more(
    run_folder: Path, configs: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "begun.safetensors"
    file.write_bytes(checkpoint_of(run_folder).read_bytes())
    plugins = load_plugins()
    words = [*SMALL, *SHORT, f"weights={file}", "train.checkpoint_every=1"]
    resolved = config.load(configs / "digits.yaml", words, registry=plugins.registry)
    train(resolved, tmp_path / "run", plugins=plugins, device="cpu")
    begun, theirs = averages(tmp_path / "run"), averages(run_folder)
    for name, tensor in begun.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-7)  # one step of 1e-9
    file.unlink()
    assert diffloom.load(tmp_path / "run", device="cpu").sample(label=3, steps=1).tensor.isfinite().all()
    longer = config.load(configs / "digits.yaml", [*words, "train.steps=2"], registry=plugins.registry)
    assert train(longer, tmp_path / "run", plugins=plugins, resume=True, device="cpu").step == 2


def test_a_file_of_another_architecture_is_refused_before_anything_is_written(
    run_folder: Path, configs: Path, tmp_path: Path
) -> None:
    plugins = load_plugins()
    words = [*SMALL, *SHORT, "backbone.channels=[8,8]", f"backbone.weights={run_folder}"]
    resolved = config.load(configs / "digits.yaml", words, registry=plugins.registry)
    with pytest.raises(CheckpointError, match=r"another architecture|no backbone like this"):
        train(resolved, tmp_path / "run", plugins=plugins, device="cpu")
    assert not (tmp_path / "run" / "config.resolved.yaml").exists()
    assert not any((tmp_path / "run" / "checkpoints").glob("*"))


def test_the_whole_model_s_file_and_a_part_s_exclude_each_other(run_folder: Path, configs: Path) -> None:
    with pytest.raises(ConfigError, match=r"backbone\.weights: `weights` fills the whole model already"):
        diffloom.build(configs / "digits.yaml", [f"weights={run_folder}", f"backbone.weights={run_folder}"])


def test_a_vocabulary_is_not_learned_anew_for_weights_that_know_one(configs: Path, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "black.png")
    (tmp_path / "captions.jsonl").write_text('{"file": "black.png", "caption": "a black square"}')
    words = ["weights=somebody.safetensors", f"data.path={tmp_path}"]
    document = config.load(configs / "emoji_text.yaml", words, registry=load_plugins().registry).document
    with pytest.raises(DataError, match="know a vocabulary of their own; set `tokenizer`"):
        prepare(document)
