"""Oracle: the kernel's count of the memory that a process has: a new one, whose heap no other test has used."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

PROCESS = """
import json
from pathlib import Path

import torch

from diffloom.heap import give_back, kept_heap

MIB = 2**20


def resident_mib():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)
    return int(line.split()[1]) / 1024


def kept_mib():
    before = resident_mib()
    tensors = [torch.ones(10 * MIB) for _ in range(2)]
    assert resident_mib() - before > 70
    tensors.clear()
    return resident_mib() - before


found = {"before": kept_mib()}
start = resident_mib()
with kept_heap():
    found["within"] = kept_mib()
found["given back"] = resident_mib() - start
found["after"] = kept_mib()
with kept_heap():  # so that its blocks lie in one heap, of which holes are left
    start = resident_mib()
    blocks = [torch.ones(MIB // 2) for _ in range(40)]
    del blocks[::2]
    found["with holes"] = resident_mib() - start
    give_back()
    found["without"] = resident_mib() - start
print(json.dumps(found))
"""
"""Measures how much stays with the process of two tensors of 40 MiB each that were freed."""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the GNU C library's own behaviour")


def kept_mib(**told: str) -> dict[str, float]:
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    run = subprocess.run(
        [sys.executable, "-c", PROCESS], env=environment | told, check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(run.stdout)
    return found


def test_freed_memory_stays_while_it_is_kept() -> None:
    found = kept_mib()
    assert found["within"] > 70
    assert all(found[moment] < 10 for moment in ("before", "given back", "after")), found


def test_what_the_environment_says_stands() -> None:
    found = kept_mib(MALLOC_TRIM_THRESHOLD_="131072")
    assert all(found[moment] < 10 for moment in ("before", "within", "given back", "after")), found


def test_holes_of_the_heap_are_given_back() -> None:
    """Of 40 blocks of 2 MiB every second one was freed."""
    found = kept_mib()
    assert found["with holes"] > 70
    assert found["without"] < 50
