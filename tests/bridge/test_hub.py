"""Names on the hub. Oracle: a cache on this disk as huggingface_hub lays it out, and no network."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from diffloom.bridge.sources.hub import fetch, parse_address, wanted
from diffloom.errors import CheckpointError

WEIGHTS = {"weight": torch.zeros(2)}
STEM = "diffusion_pytorch_model"


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("hf://a/b", ("a/b", None, None)),
        ("hf://a/b-1.5@v2/unet", ("a/b-1.5", "v2", "unet")),
        ("hf://a/b/x/y.safetensors", ("a/b", None, "x/y.safetensors")),
    ],
)
def test_addresses(source: str, address: tuple[str | None, ...]) -> None:
    assert parse_address(source) == address


@pytest.mark.parametrize("source", ["hf://", "hf://a", "hf:///b", "hf://a/"])
def test_no_address(source: str) -> None:
    with pytest.raises(CheckpointError, match="expected hf://owner/name"):
        parse_address(source)


def test_only_what_a_model_is_made_from_is_downloaded() -> None:
    there = {
        "model_index.json": True,
        "unet/config.json": True,
        f"unet/{STEM}.safetensors": True,
        f"unet/{STEM}-00001-of-00002.safetensors": True,
        f"unet/{STEM}.fp16.safetensors": False,
        f"unet/{STEM}.bin": False,
        "text_encoder/model.safetensors": True,
        "tokenizer/merges.txt": True,
        "v1-5-pruned.safetensors": False,
        "flax_model.msgpack": False,
    }
    patterns = wanted(None, pickle=False, variant=None)
    assert {name: any(fnmatch(name, pattern) for pattern in patterns) for name in there} == there
    halves = wanted("unet", pickle=False, variant="fp16")
    assert f"unet/{STEM}.fp16.safetensors" in halves
    assert not any(fnmatch(f"unet/{STEM}.safetensors", pattern) for pattern in halves)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache on this disk with one repository in it, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = "0" * 40
    repository = tmp_path / "models--owner--name"
    folder = repository / "snapshots" / commit / "unet"
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    save_file(WEIGHTS, folder / f"{STEM}.safetensors")
    return folder


@pytest.mark.parametrize("inside", ["", "/unet", f"/unet/{STEM}.safetensors"])
def test_the_hubs_cache(cache: Path, inside: str) -> None:
    path = fetch(f"hf://owner/name{inside}", pickle=False, assume={})
    assert path == {"": cache.parent, "/unet": cache}.get(inside, cache / f"{STEM}.safetensors")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf://owner/other", "is not in the local cache, and the hub cannot be reached"),
        ("hf://owner/name/unet/x.safetensors", "is not in the local cache, and the hub cannot be reached"),
        ("hf://owner/name/vae", "the repository has no vae; check the name"),
        ("hf://owner/na--me", "the hub does not give it: "),
    ],
)
@pytest.mark.usefixtures("cache")
def test_what_the_hub_does_not_give(source: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        fetch(source, pickle=False, assume={})
    assert "\n" not in str(caught.value)
