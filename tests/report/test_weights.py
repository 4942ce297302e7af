"""What is saved of a run. Oracle: the model as torch loads it, and the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import diffloom
from diffloom.checkpoint import read_header
from diffloom.report.weights import read_weights
from diffloom.training.run_folder import RunFolder


def test_parts_are_counted(run: Path) -> None:
    module = diffloom.load(run, device="cpu").module
    found = {part.name: part.learned + part.fixed for part in read_weights(RunFolder(run)).parts}
    wanted = {
        name: sum(tensor.numel() for tensor in part.state_dict().values())
        for name, part in {
            **{name: part for name, part in module.items() if name != "conditioners"},
            **{f"conditioners.{name}": part for name, part in module["conditioners"].items()},
        }.items()
    }
    assert found == {name: count for name, count in wanted.items() if count}


def test_what_is_learned_and_what_is_not(run: Path) -> None:
    (backbone,) = [part for part in read_weights(RunFolder(run)).parts if part.name == "backbone"]
    module = diffloom.load(run, device="cpu").backbone
    assert backbone.learned == sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_checkpoints(run: Path) -> None:
    found = read_weights(RunFolder(run))
    files = sorted((run / "checkpoints").glob("*.safetensors"))
    assert [(saved.name, saved.size_bytes) for saved in found.checkpoints] == [
        (path.name, path.stat().st_size) for path in files
    ]
    assert found.digests == dict(read_header(files[-1]).digests)


def test_a_damaged_checkpoint_is_told_and_the_one_before_counts(copied: Path) -> None:
    *_, before, newest = sorted((copied / "checkpoints").glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-100])
    found = read_weights(RunFolder(copied))
    assert "is cut off" in found.checkpoints[-1].trouble
    assert found.digests == dict(read_header(before).digests)
    assert found.total > 0


def test_a_sharded_checkpoint_counts_as_the_whole_one(copied: Path) -> None:
    """Oracle: the same tensors in one file."""
    whole = read_weights(RunFolder(copied))
    *_, path = sorted((copied / "checkpoints").glob("*.safetensors"))
    header, tensors = read_header(path), load_file(path)
    shares: list[dict[str, torch.Tensor]] = [{}, {}]
    for name, tensor in tensors.items():
        for share, piece in zip(shares, tensor.tensor_split(2) if tensor.ndim else [tensor], strict=False):
            share[name] = piece.contiguous()
    folder = path.with_suffix(".sharded")
    folder.mkdir()
    for number, share in enumerate(shares):
        save_file(share, folder / f"shard-{number}.safetensors")
    path.unlink()
    files = {file.name: "" for file in folder.iterdir()}
    (folder / "diffloom.json").write_text(replace(header, files=files).to_json())
    found = read_weights(RunFolder(copied))
    assert found.parts == whole.parts
    assert found.checkpoints[-1].name == folder.name
    assert found.checkpoints[-1].groups == whole.checkpoints[-1].groups
    assert found.checkpoints[-1].size_bytes == sum((folder / name).stat().st_size for name in files)


def test_nothing_saved_yet(copied: Path) -> None:
    for path in (copied / "checkpoints").iterdir():
        path.unlink()
    found = read_weights(RunFolder(copied))
    assert (found.parts, found.checkpoints, found.digests, found.total) == ((), (), {}, 0)
