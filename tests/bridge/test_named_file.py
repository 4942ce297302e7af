"""A file that a configuration names, for a part that knows its network. Oracle: what torch and safetensors saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from diffloom.bridge import open_tensors
from diffloom.errors import CheckpointError

LAST, AVERAGED = {"weight": torch.zeros(2)}, {"weight": torch.ones(2)}


def test_averaged_weights_are_taken_where_there_are_any(tmp_path: Path) -> None:
    torch.save({"model": LAST, "ema": AVERAGED}, tmp_path / "both.pt")
    save_file(LAST, tmp_path / "one.safetensors")
    found = open_tensors(str(tmp_path / "both.pt"), pickle=True)
    assert torch.equal(found.read("weight"), AVERAGED["weight"])
    found = open_tensors(str(tmp_path / "one.safetensors"))
    assert torch.equal(found.read("weight"), LAST["weight"])


def test_a_pickle_is_for_those_who_ask(tmp_path: Path) -> None:
    torch.save(LAST, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"last.pt: is a pickle; pass --pickle"):
        open_tensors(str(tmp_path / "last.pt"))


def test_a_name_of_the_hub_is_looked_up_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its cache, as huggingface_hub lays it out, without a network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "models--owner--name" / "snapshots" / ("0" * 40)
    (folder.parents[1] / "refs").mkdir(parents=True)
    (folder.parents[1] / "refs" / "main").write_text("0" * 40)
    folder.mkdir(parents=True)
    save_file(AVERAGED, folder / "classifier.safetensors")
    found = open_tensors("hf://owner/name/classifier.safetensors")
    assert torch.equal(found.read("weight"), AVERAGED["weight"])
