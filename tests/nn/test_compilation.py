"""Oracle: torch's own variable, and what lies on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from diffloom.nn.compilation import PLACE, compile_blocks, keep_compiled


def test_what_is_compiled_lies_in_the_user_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PLACE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torch._dynamo.reset()
    layer = nn.Linear(7, 7)
    assert "warning" not in compile_blocks([layer])
    layer(torch.ones(2, 7)).sum().backward()
    kept = tmp_path / "diffloom" / "compiled"
    assert os.environ[PLACE] == str(kept)
    assert any(path.is_file() for path in kept.rglob("*"))


@pytest.mark.parametrize("name", ["torchinductor_someone", "mine"])
def test_torch_s_own_place_is_none_of_the_user_s(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch sets its variable when it is imported; a user's choice stands."""
    monkeypatch.setattr("diffloom.nn.compilation.gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(PLACE, str(tmp_path / name))
    keep_compiled()
    expected = tmp_path / "mine" if name == "mine" else tmp_path / "diffloom" / "compiled"
    assert os.environ[PLACE] == str(expected)


def test_where_the_cache_cannot_be_torch_has_its_own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PLACE, raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    keep_compiled()
    assert PLACE not in os.environ
