"""A sharded checkpoint: whole or not at all, and refused where it is damaged. Oracle: the file of the same tensors.

Several processes write them in the tests of training; here one does, whose share is everything.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import diffloom.training.shares
from diffloom.checkpoint import Checkpoint, open_checkpoint, read_header, remove_unfinished, save_checkpoint
from diffloom.checkpoint.header import MANIFEST
from diffloom.errors import CheckpointError
from diffloom.training.processes import Processes
from diffloom.training.run_folder import RunFolder, checkpoint_of
from diffloom.training.shares import save_shares

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
Groups = dict[str, dict[str, Tensor]]
SaveShares = Callable[..., Checkpoint]
REMEDY = "use another copy, or an earlier checkpoint"
CONFIG = "image: {size: 8}\n"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    alone = Processes("cpu")
    (tmp_path / "checkpoints").mkdir()
    with alone.closed_after(RunFolder(tmp_path)):
        yield alone


@pytest.fixture
def save_to(processes: Processes, groups: Groups) -> SaveShares:
    def save(path: Path, *, step: int = 12) -> Checkpoint:
        save_shares(path, groups, step=step, config=CONFIG, processes=processes)
        return open_checkpoint(path)

    return save


def test_it_reads_as_a_file_does(tmp_path: Path, save_to: SaveShares, groups: Groups) -> None:
    ours = save_to(tmp_path / "step-00000012.sharded")
    save_checkpoint(tmp_path / "file", groups, step=12, config=CONFIG)
    file = open_checkpoint(tmp_path / "file")
    assert (ours.step, ours.config, ours.header.version) == (file.step, file.config, file.header.version)
    assert (ours.header.groups, ours.header.names) == (file.header.groups, file.header.names)
    for group in file.header.groups:
        theirs = file.group(group)
        assert ours.group(group).keys() == theirs.keys()
        for name, tensor in ours.group(group).items():
            assert tensor.dtype == theirs[name].dtype
            assert torch.equal(tensor, theirs[name])
    assert ours.tensors("ema").keys() == file.tensors("ema").keys()
    assert read_header(tmp_path / "step-00000012.sharded") == ours.header


def test_tied_weights(tmp_path: Path, processes: Processes) -> None:
    """Two names of one tensor are both read."""
    weight = torch.arange(6.0).reshape(2, 3)
    save_shares(
        tmp_path / "x.sharded",
        {"weights": {"a": weight, "b": weight}},
        step=1,
        config=CONFIG,
        processes=processes,
    )
    found = open_checkpoint(tmp_path / "x.sharded").group("weights")
    assert torch.equal(found["a"], weight)
    assert torch.equal(found["b"], weight)


def test_digests_know_the_content(
    tmp_path: Path, save_to: SaveShares, groups: Groups, processes: Processes
) -> None:
    """Equal where all tensors of a group are, and of a group's names and numbers alone; the files have their own."""
    digests = save_to(tmp_path / "a.sharded").header.digests
    assert save_to(tmp_path / "b.sharded").header.digests == digests
    changed = {**groups, "ema": {name: tensor + 1 for name, tensor in groups["ema"].items()}}
    save_shares(tmp_path / "c.sharded", changed, step=12, config=CONFIG, processes=processes)
    found = open_checkpoint(tmp_path / "c.sharded").header.digests
    assert {group for group in groups if found[group] != digests[group]} == {"ema"}
    files = open_checkpoint(tmp_path / "c.sharded").header.files
    assert files == {
        name: hashlib.sha256((tmp_path / "c.sharded" / name).read_bytes()).hexdigest() for name in files
    }


def test_damage_is_found(tmp_path: Path, save_to: SaveShares) -> None:
    path = tmp_path / "x.sharded"
    (name,) = save_to(path).header.files
    content = bytearray((path / name).read_bytes())
    content[-1] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as flipped:
        open_checkpoint(path).group("weights")
    assert str(flipped.value) == f"{path / name}: is damaged: it does not match its digest; {REMEDY}"
    (path / name).unlink()
    with pytest.raises(CheckpointError) as missing:
        open_checkpoint(path).group("weights")
    assert str(missing.value) == f"{path / name}: cannot be read: No such file or directory; {REMEDY}"


@pytest.mark.parametrize(
    "change", [lambda text: text[:-9], lambda text: text.replace('"step": 12', '"step": 13')]
)
def test_a_damaged_header(tmp_path: Path, save_to: SaveShares, change: Callable[[str], str]) -> None:
    path = tmp_path / "x.sharded"
    save_to(path)
    (path / MANIFEST).write_text(change((path / MANIFEST).read_text()))
    with pytest.raises(CheckpointError, match="its diffloom header is damaged"):
        open_checkpoint(path)


def test_a_group_that_is_not_there(tmp_path: Path, save_to: SaveShares) -> None:
    with pytest.raises(CheckpointError, match="has no group 'optimizer'; it has ema, frozen, other, weights"):
        save_to(tmp_path / "x.sharded").group("optimizer")


@pytest.mark.parametrize("fails_at", ["save", "rename", "mkdir"])
def test_full_disk(
    tmp_path: Path, save_to: SaveShares, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    """Nothing is left behind, and what was there stays."""
    folder = tmp_path / "checkpoints"
    before = save_to(folder / "step-00000012.sharded")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if fails_at == "save":
        monkeypatch.setattr("torch.distributed.checkpoint.filesystem.FileSystem.create_stream", full)
    else:
        monkeypatch.setattr(Path, fails_at, full)
    path = folder / "step-00000013.sharded"
    with pytest.raises(CheckpointError) as caught:
        save_to(path, step=13)
    assert str(caught.value) == (
        f"{path}: the checkpoint cannot be written: No space left on device; free some space or choose another folder "
        "(earlier checkpoints are untouched)"
    )
    assert [item.name for item in folder.iterdir()] == ["step-00000012.sharded"]
    assert open_checkpoint(folder / "step-00000012.sharded").header == before.header


def test_killed_while_saving(tmp_path: Path, save_to: SaveShares, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far it came: until the folder has its name there is no checkpoint, and then it is whole."""
    run = RunFolder(tmp_path)
    save_to(run.checkpoint(3, in_shares=True))
    for point in ("_write", "_files", "_shares", "_joined", "synced"):
        pid = os.fork()
        if pid == 0:
            monkeypatch.setattr(diffloom.training.shares, point, lambda *_, **__: os._exit(9))
            try:
                save_to(run.checkpoint(9, in_shares=True))
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        assert run.latest() == run.checkpoint(3, in_shares=True)
        assert len(list(run.checkpoints.glob(".unfinished-*"))) == 1
        remove_unfinished(run.checkpoints)
    assert list(run.checkpoints.iterdir()) == [run.checkpoint(3, in_shares=True)]


def test_a_run_s_newest_checkpoint_of_either_form(
    tmp_path: Path, save_to: SaveShares, groups: Groups
) -> None:
    run = RunFolder(tmp_path)
    for step in (2, 4, 6):
        save_to(run.checkpoint(step, in_shares=True), step=step)
    assert run.latest() == run.checkpoint(6, in_shares=True) == checkpoint_of(tmp_path)
    assert checkpoint_of(run.checkpoint(4, in_shares=True)) == run.checkpoint(4, in_shares=True)
    save_checkpoint(run.checkpoint(8), groups, step=8, config=CONFIG)
    assert run.latest() == run.checkpoint(8)
    run.prune(keep=2, every=4)
    assert [path.name for path in run.saved()] == [
        "step-00000004.sharded",
        "step-00000006.sharded",
        "step-00000008.safetensors",
    ]
    assert len(list(run.checkpoints.iterdir())) == 3
