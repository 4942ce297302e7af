"""What is written is read, bit for bit, and any other file is refused with the reason.

Oracles: the tensors that were saved; the safetensors library reading the same file.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import diffloom
from diffloom.checkpoint import Header, load_strict, open_checkpoint, read_header, save_checkpoint
from diffloom.errors import CheckpointError

Groups = dict[str, dict[str, Tensor]]
Save = Callable[[Path], Header]


def test_round_trip(tmp_path: Path, save: Save, groups: Groups) -> None:
    path = tmp_path / "x.safetensors"
    written = save(path)
    checkpoint = open_checkpoint(path)
    assert checkpoint.header == written
    assert (checkpoint.step, checkpoint.config) == (12, "image: {size: 8}\n")
    assert checkpoint.header.version == diffloom.__version__
    for group, tensors in groups.items():
        loaded = checkpoint.group(group)
        assert loaded.keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert loaded[name].dtype == tensor.dtype
            assert torch.equal(loaded[name], tensor)
    assert checkpoint.tensors("ema").keys() == {"a.weight", "a.bias"}
    peer = load_file(path)
    assert {name: tuple(t.shape) for name, t in peer.items()} == {
        f"{group}/{name}": tuple(t.shape) for group, tensors in groups.items() for name, t in tensors.items()
    }


def test_equal_states_give_equal_files(tmp_path: Path, save: Save) -> None:
    save(tmp_path / "a.safetensors")
    save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_digest_is_the_documented_one(groups: Groups, save: Save, tmp_path: Path) -> None:
    """SHA-256 over (name, dtype, shape, bytes), computed here from the tensors alone."""
    digest = hashlib.sha256()
    for name in ("a.bias", "a.weight"):
        tensor = groups["ema"][name]
        digest.update(
            json.dumps([name, "torch.float32", list(tensor.shape)]).encode() + tensor.numpy().tobytes()
        )
    assert save(tmp_path / "x.safetensors").digests["ema"] == digest.hexdigest()


def test_tied_weights(tmp_path: Path) -> None:
    tied = torch.randn(4)
    save_checkpoint(tmp_path / "x", {"weights": {"a": tied, "b": tied, "c": tied[1:3]}}, step=0, config="")
    loaded = open_checkpoint(tmp_path / "x").group("weights")
    assert torch.equal(loaded["a"], tied)
    assert torch.equal(loaded["b"], tied)
    assert torch.equal(loaded["c"], tied[1:3])


def test_header_needs_no_torch(tmp_path: Path, save: Save) -> None:
    save(tmp_path / "x.safetensors")
    code = (
        "import sys; from diffloom.checkpoint import read_header; header = read_header(sys.argv[1]); "
        "print(header.step, header.config.strip(), 'torch' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.safetensors"], capture_output=True, text=True, check=True
    )
    assert told.stdout == "12 image: {size: 8} False\n"


def read_all(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    for group in checkpoint.header.digests:
        checkpoint.group(group)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_found(save: Save, data: st.DataObject) -> None:
    """In the length, the header, our metadata, the padding, or any tensor."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        save(path)
        text = bytearray(path.read_bytes())
        text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(text)
        with pytest.raises(CheckpointError) as caught:
            read_all(path)
        assert str(path) in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_other_length_is_found(save: Save, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        save(path)
        text = path.read_bytes()
        keep = data.draw(st.integers(0, len(text) + 50).filter(lambda size: size != len(text)))
        path.write_bytes((text + b"\0" * 50)[:keep])
        with pytest.raises(CheckpointError) as caught:
            read_header(path)
        expected = {
            keep == 0: "is empty",
            0 < keep < 9: "",
            keep >= 9: "is cut off",
            keep > len(text): "is damaged",
        }
        assert expected[True] in str(caught.value)


REMEDY = "use another copy, or an earlier checkpoint"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.safetensors", b"", f"is empty (0 bytes); {REMEDY}"),
        (
            "x.safetensors",
            b"hello, world",
            "is not a safetensors file; name a checkpoint written by diffloom",
        ),
        ("x.safetensors", b"\x05\0\0\0\0\0\0\0{xxx}", f"its header is damaged; {REMEDY}"),
        ("x.safetensors", b"\x09\0\0\0\0\0\0\0{}", f"is cut off inside its header (10 bytes); {REMEDY}"),
        *(
            (
                name,
                content,
                "is a pickle (or named like one), which can run any code when it is loaded, so diffloom refuses it; "
                "ask its author for a .safetensors file, or convert it on a machine that may be lost",
            )
            for name, content in (
                ("x.pt", b"PK\x03\x04 and so on, a zip"),
                ("x.safetensors", b"PK\x03\x04 and so on, a zip"),
                ("x.safetensors", b"\x80\x02}q\x00X\x01\x00\x00"),
                ("x.safetensors", b"\x80\x04\x95\x10\x00\x00\x00\x00"),
                ("x.ckpt", b"(dp0\nS'weights'\np1\n."),
                ("x.bin", b"anything"),
            )
        ),
    ],
)
def test_foreign_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    assert str(caught.value) == f"{path}: {message}"


def test_real_pickles(tmp_path: Path) -> None:
    for path, zipped in ((tmp_path / "new.safetensors", True), (tmp_path / "old.safetensors", False)):
        torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match="is a pickle"):
            read_header(path)


def test_missing_folder_and_strangers(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as missing:
        read_header(tmp_path / "none.safetensors")
    assert str(missing.value) == f"{tmp_path / 'none.safetensors'}: no such checkpoint; check the name"
    with pytest.raises(CheckpointError) as folder:
        read_header(tmp_path)
    assert str(folder.value) == (
        f"{tmp_path}: is a folder; name a .safetensors file or a run folder with checkpoints"
    )
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError) as other:
        read_header(tmp_path / "other.safetensors")
    assert str(other.value) == (
        f"{tmp_path / 'other.safetensors'}: is a safetensors file of another program: it has no diffloom header; "
        "name a checkpoint written by diffloom"
    )


def test_a_header_as_long_as_a_pickle_begins(tmp_path: Path) -> None:
    """A length of 0x0280 makes a sound file begin with the bytes of a pickle; it is no pickle."""
    path, tensors = tmp_path / "x.safetensors", {"weights": {"a": torch.zeros(2)}}
    save_checkpoint(path, tensors, step=0, config="")
    config = " " * (0x0280 - int.from_bytes(path.read_bytes()[:8], "little"))
    save_checkpoint(path, tensors, step=0, config=config)
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert read_header(path).config == config


def test_a_newer_format(tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("diffloom.checkpoint.header.FORMAT", 2)
        patch.setattr("diffloom.__version__", "9.0")
        save(path)
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    assert str(caught.value) == (
        f"{path}: has format 2, written by diffloom 9.0, and this diffloom reads up to format 1; "
        "update with `pip install -U diffloom`"
    )


def test_corrupted_tensor(tmp_path: Path, save: Save) -> None:
    path = tmp_path / "x.safetensors"
    save(path)
    text = bytearray(path.read_bytes())
    text[-1] ^= 1
    path.write_bytes(text)
    with pytest.raises(CheckpointError) as caught:
        read_all(path)
    assert str(caught.value) == f"{path}: is damaged: its group 'other' does not match its digest; {REMEDY}"


def test_a_group_that_is_not_there(tmp_path: Path, save: Save) -> None:
    save(tmp_path / "x")
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path / "x").group("optimizer")
    assert (
        str(caught.value) == f"{tmp_path / 'x'}: has no group 'optimizer'; it has ema, frozen, other, weights"
    )


def test_load_strict_is_all_or_nothing() -> None:
    module = nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(3, 1)})
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    tensors = {
        "a.weight": torch.zeros(3, 2),
        "a.bias": torch.zeros(3, dtype=torch.float64),
        "b.weight": torch.zeros(2, 3),
        **{f"c.{i}": torch.zeros(1) for i in range(10)},
    }
    with pytest.raises(CheckpointError) as caught:
        load_strict(module, tensors, "x.safetensors")
    assert str(caught.value) == (
        "x.safetensors: its weights are of another architecture than the configuration's; nothing was loaded. "
        "Use the configuration the checkpoint was trained with.\n"
        "  1 missing: b.bias\n"
        "  10 unexpected: c.0, c.1, c.2, c.3, c.4, c.5, c.6, c.7, and 2 more\n"
        "  2 of another shape or type: a.bias: float64[3] where the model has float32[3], "
        "b.weight: float32[2, 3] where the model has float32[1, 3]"
    )
    assert all(torch.equal(module.state_dict()[name], tensor) for name, tensor in before.items())
    load_strict(module, {name: tensor + 1 for name, tensor in before.items()}, "x")
    assert all(torch.equal(module.state_dict()[name], tensor + 1) for name, tensor in before.items())


def test_a_model_s_digest_covers_its_frozen_parts(tmp_path: Path) -> None:
    """An autoencoder that was not trained decides what is drawn too."""
    digests = []
    for frozen in ({}, {"space.weight": torch.zeros(2)}, {"space.weight": torch.ones(2)}):
        path = tmp_path / f"{len(digests)}.safetensors"
        save_checkpoint(
            path, {"frozen": frozen, "ema": {"backbone.weight": torch.ones(3)}}, step=0, config=""
        )
        digests.append(open_checkpoint(path).model_digest())
    assert len(set(digests)) == 3
    assert digests[0] == open_checkpoint(tmp_path / "0.safetensors").digest("ema")
