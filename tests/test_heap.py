"""Oracle: the kernel's count of the memory that the process has."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from diffloom.heap import kept_heap

MIB = 2**20
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the GNU C library's own behaviour")


def resident_mib() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)
    return int(line.split()[1]) / 1024


def kept_mib() -> float:
    """How much stays with the process of two tensors of 40 MiB each that were freed."""
    before = resident_mib()
    tensors = [torch.ones(10 * MIB) for _ in range(2)]
    assert resident_mib() - before > 70
    tensors.clear()
    return resident_mib() - before


@glibc
def test_freed_memory_stays_while_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert kept_mib() < 10
    before = resident_mib()
    with kept_heap():
        assert kept_mib() > 70
    assert resident_mib() - before < 10
    assert kept_mib() < 10


@glibc
def test_what_the_environment_says_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    with kept_heap():
        assert kept_mib() < 10
