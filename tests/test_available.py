"""Memory that can be had. Oracles: sums worked out by hand over control groups written as Linux shows them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from diffloom import available
from diffloom.nn import available_bytes

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No control groups yet."""
    monkeypatch.setattr(available, "GROUPS", tmp_path)
    monkeypatch.setattr(available, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    return tmp_path


def second(folder: Path, most: str) -> None:
    """A group of the second version, in which 900 bytes are used beside 600 of files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text("1500\n")
    (folder / "memory.stat").write_text("anon 900\nfile 600\ninactive_file 600\nactive_file 0\n")


def first(folder: Path, most: int) -> None:
    """The same of the first version."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{most}\n")
    (folder / "memory.usage_in_bytes").write_text("1500\n")
    (folder / "memory.stat").write_text("cache 600\ninactive_file 1\ntotal_inactive_file 600\n")


def test_without_groups_it_is_the_machine_s() -> None:
    """What the system calls available, others working here meanwhile."""
    assert available_bytes(CPU) == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    assert available_bytes(torch.device("meta")) is None


def test_a_container_may_have_less(groups: Path) -> None:
    (groups / "own").write_text("0::/\n")
    second(groups, "3000")
    assert available_bytes(CPU) == 3000 - 900
    second(groups, "max")
    assert available_bytes(CPU) == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    second(groups, "800")  # others than this process have taken more by now
    assert available_bytes(CPU) == 0


def test_the_narrowest_of_nested_groups_decides(groups: Path) -> None:
    """A step of a scheduler's job, within the job, within the service that runs jobs."""
    (groups / "own").write_text("0::/system.slice/job_7/step_0\n")
    second(groups / "system.slice/job_7/step_0", "max")
    second(groups / "system.slice/job_7", "4000")
    second(groups / "system.slice", "9000")
    second(groups / "system.slice/job_8", "1000")  # somebody else's
    assert available_bytes(CPU) == 4000 - 900


@pytest.mark.parametrize("seen", ["/docker/abc", ""])
def test_the_first_version(groups: Path, seen: str) -> None:
    """Its unlimited groups say a number near 2⁶³. Within a container its own group may stand at the top."""
    (groups / "own").write_text("5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n")
    first(groups / "memory", 9223372036854771712)
    first(groups / f"memory{seen}", 5000)
    assert available_bytes(CPU) == 5000 - 900


def test_processes_of_one_machine_divide_it(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (groups / "own").write_text("0::/\n")
    second(groups, "4900")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert available_bytes(CPU) == 1000
