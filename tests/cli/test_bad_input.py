"""What a user can get wrong, met at the command line: one clear error with place and remedy, exit code 2, nothing lost.

Oracle: the messages themselves, and the folder's content before and after.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from diffloom.checkpoint import open_checkpoint, save_checkpoint

Invoke = Callable[..., Result]

GOOD = """\
image: {size: 8, channels: 1}
conditioners:
  label: {type: class_label, classes: 10, dropout: 0.1}
backbone: {type: unet, channels: [8, 16], blocks_per_level: 1, attention_resolutions: [], norm_groups: 4}
schedule: cosine
prediction: v
sampling: {sampler: ddim, steps: 2}
data: digits
train: {steps: 1, batch_size: 2, lr: 1e-3}
"""


@pytest.fixture
def refused(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command that must fail; gives what it said."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> str:
        result = invoke(*words)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        return result.output

    return call


@pytest.mark.parametrize("command", [("train",), ("config", "check"), ("config", "show")])
def test_missing_file(refused: Callable[..., str], command: tuple[str, ...]) -> None:
    assert "nowhere.yaml" in refused(*command, "nowhere.yaml")


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("[8, 16]", "[8, 16", "x.yaml:", "expected"),
        ("lr: 1e-3", "lr: fast", "x.yaml:9:38", "train.lr: expected a number, got 'fast'"),
        ("type: unet", "type: unett", "x.yaml:4:18", "unknown backbone 'unett'; did you mean 'unet'?"),
        ("type: unet", "type: acme-moon/unet", "x.yaml:4:18", "try `pip install acme-moon`"),
        ("backbone:", "bakbone:", "x.yaml:4:1", "did you mean 'backbone'?"),
        ("size: 8", "size: 9", "x.yaml", "divisible"),
        ("steps: 2", "steps: 2000", "x.yaml:7:34", "2000"),
        ("dropout: 0.1", "dropout: 1.5", "x.yaml:3:52", "must be at most 1, got 1.5"),
        ("norm_groups: 4", "norm_groups: 3", "", "norm_groups"),
    ],
)
@pytest.mark.parametrize("command", [("train",), ("config", "check")])
def test_mistakes_in_the_file(
    *,
    refused: Callable[..., str],
    tmp_path: Path,
    command: tuple[str, ...],
    old: str,
    new: str,
    place: str,
    message: str,
) -> None:
    if command[0] == "config" and "norm_groups" in message:
        command = ("train",)  # what only the network can know shows when it is built
    assert old in GOOD
    (tmp_path / "x.yaml").write_text(GOOD.replace(old, new))
    told = refused(*command, "x.yaml")
    assert place in told
    assert message in told
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


def test_every_problem_at_once(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        GOOD.replace("1e-3", "fast").replace("unet", "unett").replace("cosine", "cosin")
    )
    told = refused("config", "check", "x.yaml")
    assert [word in told for word in ("train.lr", "'unet'", "'cosine'")] == [True] * 3


def test_data_of_another_shape(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD.replace("size: 8", "size: 16"))
    assert "8" in refused("train", "x.yaml")


@pytest.fixture
def own_run(run_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_folder, tmp_path / "own"))


def checkpoint_in(folder: Path) -> Path:
    (path,) = (folder / "checkpoints").glob("*.safetensors")
    return path


def test_label_out_of_range(refused: Callable[..., str], own_run: Path) -> None:
    assert "label 10 is out of range" in refused("sample", own_run, "--label", 10)


def test_truncated(refused: Callable[..., str], own_run: Path) -> None:
    path = checkpoint_in(own_run)
    path.write_bytes(path.read_bytes()[:-100])
    told = refused("sample", own_run, "--label", 1)
    assert path.name in told
    assert "truncated" in told


def test_one_byte_changed(refused: Callable[..., str], own_run: Path) -> None:
    path = checkpoint_in(own_run)
    content = bytearray(path.read_bytes())
    groups = open_checkpoint(path).tensors("ema")
    largest = max(groups.values(), key=torch.Tensor.numel).numpy().tobytes()
    content[content.index(largest) + len(largest) // 2] ^= 1
    path.write_bytes(content)
    assert "digest" in refused("sample", own_run, "--label", 1)


def test_pickle(refused: Callable[..., str], tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, tmp_path / "model.ckpt")
    told = refused("sample", "model.ckpt", "--label", 1)
    assert "model.ckpt" in told
    assert "pickle" in told


@pytest.mark.parametrize("change", ["missing", "extra", "reshaped"])
def test_weights_that_do_not_fit(refused: Callable[..., str], own_run: Path, change: str) -> None:
    path = checkpoint_in(own_run)
    checkpoint = open_checkpoint(path)
    tensors = checkpoint.tensors("ema")
    victim = next(name for name in tensors if tensors[name].dim() == 4)
    if change == "missing":
        del tensors[victim]
    elif change == "extra":
        tensors["backbone.stranger"] = torch.zeros(3)
        victim = "backbone.stranger"
    else:
        tensors[victim] = tensors[victim][:, :, :1]
    save_checkpoint(path, {"ema": tensors, "frozen": {}}, step=checkpoint.step, config=checkpoint.config)
    told = refused("sample", own_run, "--label", 1)
    assert victim in told
    assert "nothing was loaded" in told


def test_run_folder_exists_already(refused: Callable[..., str], own_run: Path, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)
    before = {path: path.read_bytes() for path in own_run.rglob("*") if path.is_file()}
    told = refused("train", "x.yaml", "-o", own_run)
    assert "--resume" in told
    assert "-o" in told
    assert {path: path.read_bytes() for path in own_run.rglob("*") if path.is_file()} == before


def test_nowhere_to_write(refused: Callable[..., str], own_run: Path, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)
    (tmp_path / "file").write_text("in the way")
    assert "file" in refused("train", "x.yaml", "-o", tmp_path / "file" / "run")
    told = refused("sample", own_run, "--label", 1, "--steps", 1, "-o", tmp_path / "file" / "x.png")
    assert "cannot write the picture" in told
    assert (tmp_path / "file").read_text() == "in the way"


def test_override_of_nothing(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)
    told = refused("train", "x.yaml", "train.stepz=3")
    assert "train.stepz=3" in told
    assert "did you mean 'steps'?" in told


def test_plugin_file_that_is_not_there(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)
    assert "mine.py: no such plugin file" in refused("train", "x.yaml", "-p", "mine.py")
