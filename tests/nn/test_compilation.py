"""Oracle: torch's own variable, and what a second process finds on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffloom.nn.compilation import PLACE, keep_compiled

PROCESS = """
import torch
from torch import nn
from torch._dynamo.utils import counters
from diffloom.nn.compilation import compile_blocks

layer = nn.Linear(7, 7)
assert "warning" not in compile_blocks([layer])
counters.clear()
layer(torch.ones(2, 7)).sum().backward()
print(counters["inductor"]["fxgraph_cache_miss"] + counters["aot_autograd"]["autograd_cache_miss"])
"""


def test_the_next_process_compiles_nothing_anew(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != PLACE}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    misses = [
        int(
            subprocess.run(
                [sys.executable, "-c", PROCESS], env=environment, check=True, capture_output=True, text=True
            ).stdout
        )
        for _ in range(2)
    ]
    assert misses[0] > 0
    assert misses[1] == 0
    assert any((tmp_path / "diffloom" / "compiled").iterdir())


def test_a_place_of_ones_own_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLACE, str(tmp_path))
    keep_compiled()
    assert os.environ[PLACE] == str(tmp_path)


def test_where_the_cache_cannot_be_torch_has_its_own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PLACE, raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    keep_compiled()
    assert PLACE not in os.environ
