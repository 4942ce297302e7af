"""What a cache is held against before it is trained from: one clear error each, naming the file and the remedy."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from diffloom.errors import DataError
from diffloom.latents.cache import CachedExamples, open_cache
from diffloom.latents.caching import Caching, described
from diffloom.latents.index import read_index
from diffloom.latents.model import LatentModel
from diffloom.process import keyed_generator

OpenModel = Callable[..., LatentModel]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, open_model: OpenModel) -> Path:
    """A cache of 50 rows in 4 files."""
    folder = tmp_path_factory.mktemp("caches") / "cache"
    model = open_model()
    description = described(model, views=None, dtype="float32", shard_examples=13)
    Caching(model, folder, description).run(on_rows=lambda count: None)
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "cache"))


def opened(folder: Path, model: LatentModel) -> CachedExamples:
    return open_cache(folder, model.document, cast(nn.Module, model.encoder.codec), model.examples)


def refusal(folder: Path, model: LatentModel) -> str:
    with pytest.raises(DataError) as caught:
        opened(folder, model)
    return str(caught.value)


def rng(index: int) -> np.random.Generator:
    return keyed_generator(0, index, 0, "example")


def test_opened(folder: Path, open_model: OpenModel) -> None:
    """For the model it was made for: calibrated or not, its weights elsewhere, its training otherwise."""
    for overrides in (
        (),
        ("space.scale=0.2",),
        ("space.weights=elsewhere", "train.batch_size=9", "train.seed=4"),
    ):
        model = open_model(*overrides)
        cached = opened(folder, model)
        assert cached.info == model.examples.info
        assert cached.shape == (6, 4, 4)


def test_read_ahead(folder: Path, open_model: OpenModel) -> None:
    """As a process that reads ahead gets it: without the maps of this one."""
    cached = opened(folder, open_model())
    again: CachedExamples = pickle.loads(pickle.dumps(cached))
    assert again.example(20, rng(0)).image_CHW.tobytes() == cached.example(20, rng(0)).image_CHW.tobytes()


def test_other_weights(folder: Path, open_model: OpenModel) -> None:
    told = refusal(folder, open_model(codec_seed=1))
    first, change, remedy = told.splitlines()
    assert first == f"{folder}: was made of something else (there → here):"
    assert change.startswith("  weights: '")
    assert remedy == "Take these back, or make another cache with another -o"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.offset=0.1", "data.offset: 0.0 → 0.1"),
        ("data.examples=49", "data.examples: 50 → 49\n  examples: 50 → 49"),
        ("space.kind_of_padding=reflect", "space.kind_of_padding: 'zeros' → 'reflect'"),
    ],
)
def test_another_configuration(folder: Path, open_model: OpenModel, override: str, told: str) -> None:
    assert f":\n  {told}\nTake these back" in refusal(folder, open_model(override))


def test_a_condition_that_was_not_kept(folder: Path, open_model: OpenModel) -> None:
    model = open_model()
    taught = {**model.document.conditioners, "caption": model.document.conditioners["label"]}
    document = model.document.model_copy(update={"conditioners": taught})
    with pytest.raises(DataError, match="conditions: has no caption"):
        open_cache(folder, document, cast(nn.Module, model.encoder.codec), model.examples)


class Changed:
    """Examples of which those from number 35 on are others than they were."""

    def __init__(self, examples: Any, what: str) -> None:
        self.examples, self.what, self.info = examples, what, examples.info

    def __len__(self) -> int:
        return len(self.examples)

    def example(self, index: int, generator: np.random.Generator) -> Any:
        found = self.examples.example(index, generator)
        if index >= 35 and self.what == "picture":
            found.image_CHW[0, 0, 0] += np.float32(1e-6)
        if index >= 35 and self.what == "label":
            found.conditions["label"] = 1 - found.conditions["label"]
        return found


@pytest.mark.parametrize("what", ["picture", "label"])
def test_data_that_changed_since(folder: Path, open_model: OpenModel, what: str) -> None:
    model = open_model()
    examples = cast(Any, Changed(model.examples, what))
    with pytest.raises(
        DataError, match=rf"example \d+ has changed since .*: its {what} is another; make another cache"
    ):
        open_cache(folder, model.document, cast(nn.Module, model.encoder.codec), examples)


def test_missing(folder: Path, open_model: OpenModel) -> None:
    path = folder / "latents-00002.safetensors"
    path.unlink()
    assert refusal(folder, open_model()) == (
        f"{path}: is missing; `diffloom cache` makes what is missing and leaves the rest"
    )


def test_no_cache(tmp_path: Path, open_model: OpenModel) -> None:
    remedy = f"run `diffloom cache` with -o {tmp_path}"
    assert refusal(tmp_path, open_model()) == f"{tmp_path}: is no cache of latents; {remedy}"


def test_unfinished(folder: Path, open_model: OpenModel) -> None:
    (folder / "index.json").unlink()
    assert refusal(folder, open_model()) == (
        f"{folder}: is unfinished: it has 4 files and no index.json; run `diffloom cache` with -o {folder}"
    )


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_half_a_file(folder: Path, open_model: OpenModel, share: float) -> None:
    path = folder / "latents-00001.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert refusal(folder, open_model()) == (
        f"{path}: is cut off, damaged or no shard of a cache; remove it, then `diffloom cache` makes it again"
    )


def test_files_in_each_others_place(folder: Path, open_model: OpenModel) -> None:
    first, second = (folder / f"latents-0000{i}.safetensors" for i in (0, 1))
    first.rename(folder / "aside")
    second.rename(first)
    (folder / "aside").rename(second)
    assert "latents-00000.safetensors: belongs to another cache, or to another place" in refusal(
        folder, open_model()
    )


def test_one_bit_anywhere(folder: Path, open_model: OpenModel) -> None:
    """Flipped in any byte of a file, header, rows, conditions or digests: told when it is opened or read, and every
    row that is read anyway is what it was."""
    model = open_model()
    before = [opened(folder, model).row(number) for number in range(50)]
    path = folder / "latents-00003.safetensors"
    whole = path.read_bytes()
    draw = np.random.default_rng(1)
    places = draw.choice(len(whole), size=150, replace=False)
    told = 0
    for place in places:
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << int(draw.integers(8))
        path.write_bytes(spoiled)
        messages = []
        try:
            cached = CachedExamples(folder, read_index(folder).description, model.examples.info)
            rows = [cached.row(number) for number in range(39, 50)]
        except DataError as error:
            messages.append(str(error))
        else:  # not a bit that means anything: padding of the header
            assert [row.latent.tobytes() for row in rows] == [row.latent.tobytes() for row in before[39:]]
            assert [row.conditions for row in rows] == [row.conditions for row in before[39:]]
        assert all(text.startswith(f"{path}: ") and "`diffloom cache`" in text for text in messages)
        told += len(messages)
    assert told >= 140


def test_a_damaged_index(folder: Path, open_model: OpenModel) -> None:
    path = folder / "index.json"
    text = path.read_text()
    for spoiled in (
        text[:-40],
        "[]",
        text.replace('"views": 1', '"views": 2'),
        text.replace("13", "14"),
        "{}",
    ):
        assert spoiled != text
        path.write_text(spoiled)
        assert refusal(folder, open_model()) == (
            f"{path}: is damaged; remove it, then `diffloom cache` checks the files and makes it again"
        )


def test_a_newer_format(folder: Path, open_model: OpenModel) -> None:
    path = folder / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    assert "has format 2, written by diffloom" in refusal(folder, open_model())


def test_rows_are_mapped_not_held(folder: Path, open_model: OpenModel) -> None:
    """What a cache keeps between two rows is file maps: no tensor of its rows is reachable from it."""
    cached = opened(folder, open_model())
    cached.row(3)
    held = [value for shard in cached._shards.values() for value in vars(shard).values()]
    assert not any(isinstance(value, np.ndarray | torch.Tensor | bytes) for value in held)
