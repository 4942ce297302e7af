"""A checkpoint is written whole or not at all. Oracle: the file that was there before."""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from diffloom.checkpoint import Header, open_checkpoint, remove_unfinished, save_checkpoint
from diffloom.errors import CheckpointError

Save = Callable[[Path], Header]


@pytest.mark.parametrize("fails_at", ["fsync", "rename", "mkdir"])
def test_full_disk(tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch, fails_at: str) -> None:
    path = tmp_path / "x.safetensors"
    save(path)
    before = path.read_bytes()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(
        *{"fsync": (os, "fsync"), "rename": (Path, "rename"), "mkdir": (Path, "mkdir")}[fails_at], full
    )
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(path, {"weights": {"a": torch.zeros(3)}}, step=99, config="")
    assert str(caught.value) == (
        f"{path}: the checkpoint cannot be written: No space left on device; free some space or choose another folder "
        "(earlier checkpoints are untouched)"
    )
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_quota_of_the_kernel(tmp_path: Path, save: Save) -> None:
    """The kernel refuses to let the file grow: the same as a full disk or a quota."""
    path = tmp_path / "x.safetensors"
    save(path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"cannot be written: .*File too large"):
            save_checkpoint(path, {"weights": {"a": torch.zeros(10_000)}}, step=99, config="")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_permission(tmp_path: Path, save: Save) -> None:
    """Neither root nor a user can make folders inside a file, or in /proc."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "x.safetensors", Path("/proc/diffloom/x.safetensors")):
        with pytest.raises(CheckpointError, match="the checkpoint cannot be written"):
            save(path)


def test_mode_follows_the_umask(tmp_path: Path, save: Save) -> None:
    former = os.umask(0o027)
    try:
        save(tmp_path / "x.safetensors")
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "x.safetensors").stat().st_mode) == 0o640


KILLING = """
import json, os, random, signal, sys, time
import torch
from pathlib import Path
from diffloom.checkpoint import save_checkpoint
path, log = Path(sys.argv[1]), Path(sys.argv[2])
moments = random.Random(1)
confirmed = []
step = 0
for kill in range(400):  # 20, and more where a slow machine has not shown both a save and a torn one
    pid = os.fork()
    if pid == 0:
        while True:
            step += 1
            save_checkpoint(path, {"weights": {"a": torch.full((50_000,), float(step))}}, step=step, config="")
            log.with_suffix(".new").write_text(str(step))  # only after save_checkpoint has returned
            log.with_suffix(".new").replace(log)  # so that a kill never leaves it empty
    time.sleep(moments.uniform(0.005, 0.08) * (1 + kill / 20))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    step = int(log.read_text()) if log.exists() else 0
    from diffloom.checkpoint import open_checkpoint
    seen = None
    if path.exists():
        checkpoint = open_checkpoint(path)
        a = checkpoint.group("weights")["a"]
        seen = [checkpoint.step, float(a.min()), float(a.max())]
    confirmed.append([step, seen, len(list(path.parent.glob(".unfinished-*")))])
    if kill >= 19 and step and confirmed[-1][2]:
        break
print(json.dumps(confirmed))
"""


def test_killed_while_saving(tmp_path: Path) -> None:
    """SIGKILL to processes that do nothing but save: what stands is always whole, and never older than confirmed."""
    (tmp_path / "saved").mkdir()
    told = subprocess.run(
        [sys.executable, "-c", KILLING, tmp_path / "saved" / "x.safetensors", tmp_path / "log"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    kills = json.loads(told.stdout)
    assert kills[-1][0] > 0  # something was saved in the end
    assert kills[-1][2] > 0  # and some kill came in the middle of a save
    for confirmed, seen, _ in kills:
        if confirmed:
            step, lowest, highest = seen
            assert step == lowest == highest  # one save's tensors under that save's header
            assert confirmed <= step <= confirmed + 1
    remove_unfinished(tmp_path / "saved")
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["x.safetensors"]
    assert open_checkpoint(tmp_path / "saved" / "x.safetensors").step >= kills[-1][0]
