"""Where weights come from. Oracles: the tensors that were written, by safetensors and torch themselves."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from diffloom.bridge import AmbiguousError, Tensors
from diffloom.bridge.sources.opened import Opened, open_weights
from diffloom.errors import CheckpointError

WEIGHTS = {f"layer.{i}.weight": torch.arange(6.0).reshape(2, 3) + i for i in range(4)}
STEM = "diffusion_pytorch_model"


def opened(path: Path, *, pickle: bool = False, **assume: str) -> Opened:
    return open_weights(path, pickle=pickle, assume=assume)


def require_same(tensors: Tensors, wanted: dict[str, Tensor]) -> None:
    assert set(tensors) == wanted.keys()
    assert len(tensors) == len(wanted)
    for name, tensor in wanted.items():
        assert name in tensors
        assert (tensors.shape(name), tensors.dtype(name)) == (tuple(tensor.shape), tensor.dtype)
        assert torch.equal(tensors.read(name), tensor)


def sharded(folder: Path) -> None:
    """Two shards and their index, as diffusers writes them."""
    halves = dict(list(WEIGHTS.items())[:2]), dict(list(WEIGHTS.items())[2:])
    places = {}
    for number, half in enumerate(halves, 1):
        name = f"{STEM}-{number:05}-of-00002.safetensors"
        save_file(half, folder / name)
        places |= dict.fromkeys(half, name)
    index = {"metadata": {"total_size": 96}, "weight_map": places}
    (folder / f"{STEM}.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text('{"_class_name": "X"}')


def test_a_file(tmp_path: Path) -> None:
    mixed = {
        **WEIGHTS,
        "half": torch.ones(2).half(),
        "ids": torch.arange(3),
        "brain": torch.ones(2).bfloat16(),
    }
    save_file(mixed, tmp_path / "x.safetensors")
    tensors = opened(tmp_path / "x.safetensors").tensors
    require_same(tensors, mixed)
    require_same(tensors.under("layer."), {n.removeprefix("layer."): t for n, t in WEIGHTS.items()})


def test_shards(tmp_path: Path) -> None:
    sharded(tmp_path)
    found = opened(tmp_path)
    require_same(found.tensors, WEIGHTS)
    assert found.config == {"_class_name": "X"}


def test_a_truncated_shard(tmp_path: Path) -> None:
    sharded(tmp_path)
    shard = tmp_path / f"{STEM}-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(CheckpointError, match=r"00002-of-00002.safetensors: is cut off: \d+ of \d+ bytes"):
        opened(tmp_path)


def test_a_missing_shard(tmp_path: Path) -> None:
    sharded(tmp_path)
    (tmp_path / f"{STEM}-00001-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"00001-of-00002.safetensors: this shard is missing"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("name", "shard", "message"),
    [
        ("layer.9.weight", 2, "lacks layer.9.weight, which the index says it has"),
        ("layer.0.weight", 2, "lacks layer.0.weight, which the index says it has"),
    ],
)
def test_a_shard_of_another_model(tmp_path: Path, name: str, shard: int, message: str) -> None:
    sharded(tmp_path)
    index = tmp_path / f"{STEM}.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"][name] = f"{STEM}-{shard:05}-of-00002.safetensors"
    index.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        opened(tmp_path)


def test_a_name_in_two_shards(tmp_path: Path) -> None:
    sharded(tmp_path)
    save_file(WEIGHTS, tmp_path / f"{STEM}-00002-of-00002.safetensors")
    with pytest.raises(CheckpointError, match=r"layer.0.weight is in .*00001-of-00002.safetensors too"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"weight_map": {}}', '{"weight_map": {"a": "../b.safetensors"}}']
)
def test_an_index_that_is_none(tmp_path: Path, text: str) -> None:
    sharded(tmp_path)
    (tmp_path / f"{STEM}.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"index.json: .*use another copy"):
        opened(tmp_path)


def test_variants(tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in WEIGHTS.items()}
    save_file(halves, tmp_path / f"{STEM}.fp16.safetensors")
    alone = opened(tmp_path)
    require_same(alone.tensors, halves)
    assert alone.told == (f"{tmp_path.name}: variant fp16",)
    save_file(WEIGHTS, tmp_path / f"{STEM}.safetensors")
    require_same(opened(tmp_path).tensors, WEIGHTS)
    require_same(opened(tmp_path, variant="fp16").tensors, halves)
    with pytest.raises(CheckpointError, match="has no weights of variant 'bf16'"):
        opened(tmp_path, variant="bf16")


def test_sharded_variants(tmp_path: Path) -> None:
    name = "model.fp16-00001-of-00001.safetensors"
    save_file(WEIGHTS, tmp_path / name)
    index = {"weight_map": dict.fromkeys(WEIGHTS, name)}
    (tmp_path / "model.safetensors.index.fp16.json").write_text(json.dumps(index))
    require_same(opened(tmp_path).tensors, WEIGHTS)


def test_a_pickle_is_read_only_when_asked_for(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"x.pt: is a pickle; pass --pickle"):
        opened(tmp_path / "x.pt")
    require_same(opened(tmp_path / "x.pt", pickle=True).tensors, WEIGHTS)
    torch.save(WEIGHTS, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin: is a pickle, .*pass --pickle"):
        opened(tmp_path)
    require_same(opened(tmp_path, pickle=True).tensors, WEIGHTS)


def test_an_old_archive(tmp_path: Path) -> None:
    """Of before torch 1.6, which cannot be mapped."""
    torch.save(OrderedDict(WEIGHTS), tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    require_same(opened(tmp_path / "x.pth", pickle=True).tensors, WEIGHTS)


def test_weights_one_level_down(tmp_path: Path) -> None:
    state = {"epoch": 3, "state_dict": OrderedDict(WEIGHTS), "optimizer_states": [{"x": torch.zeros(1)}]}
    torch.save(state, tmp_path / "x.ckpt")
    found = opened(tmp_path / "x.ckpt", pickle=True)
    require_same(found.tensors, WEIGHTS)
    assert found.averages is None
    assert found.told == (
        "weights from 'state_dict'",
        "left out, being no weights: epoch, optimizer_states",
    )


def test_averages_beside(tmp_path: Path) -> None:
    averages = {name: tensor / 2 for name, tensor in WEIGHTS.items()}
    torch.save({"model": WEIGHTS, "ema": averages, "step": 5}, tmp_path / "x.pt")
    found = opened(tmp_path / "x.pt", pickle=True)
    require_same(found.tensors, WEIGHTS)
    assert found.averages is not None
    require_same(found.averages, averages)


def test_groups_of_unknown_names(tmp_path: Path) -> None:
    torch.save({"first": WEIGHTS, "second": {"x": torch.zeros(1)}}, tmp_path / "x.pt")
    with pytest.raises(AmbiguousError, match=r"--assume group=first: 4 tensors\n  --assume group=second"):
        opened(tmp_path / "x.pt", pickle=True)
    require_same(opened(tmp_path / "x.pt", pickle=True, group="first").tensors, WEIGHTS)


class Harmful:
    """Code of somebody's, which loading a pickle would run."""

    ran = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (setattr, (Harmful, "ran", True))


def test_a_pickle_runs_no_code(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "callback": Harmful()}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="holds more than tensors, so it is not read"):
        opened(tmp_path / "x.ckpt", pickle=True)
    assert not Harmful.ran


@pytest.mark.parametrize(
    ("content", "message"),
    [([1, 2], "holds a list, and not tensors by name"), ({"a": 1}, "holds no tensors by name; it has a")],
)
def test_pickles_of_other_things(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=message):
        opened(tmp_path / "x.pt", pickle=True)


def test_a_damaged_pickle(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "x.pt")
    (tmp_path / "x.pt").write_bytes((tmp_path / "x.pt").read_bytes()[:300])
    with pytest.raises(CheckpointError, match=r"x.pt: (is damaged|holds more)"):
        opened(tmp_path / "x.pt", pickle=True)


@pytest.mark.parametrize("name", ["nowhere", "nowhere.safetensors"])
def test_nothing_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        opened(tmp_path / name)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(CheckpointError, match=r"has no weights .*it has readme.md"):
        opened(tmp_path)
