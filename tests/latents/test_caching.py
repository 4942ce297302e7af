"""Caches are made whole, resumably, and read back exactly. Oracle: the encoder itself; an uninterrupted run's bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffloom.errors import DataError, RunError
from diffloom.latents import caching
from diffloom.latents.cache import CachedExamples
from diffloom.latents.caching import Caching, described
from diffloom.latents.calibration import measure
from diffloom.latents.index import Index, read_index
from diffloom.latents.model import LatentModel
from diffloom.process import keyed_generator

OpenModel = Callable[..., LatentModel]


def make(
    model: LatentModel,
    folder: Path,
    *,
    shard_examples: int = 13,
    views: int | None = None,
    dtype: str = "float32",
) -> Index:
    description = described(model, views=views, dtype=dtype, shard_examples=shard_examples)
    return Caching(model, folder, description).run(on_rows=lambda count: None)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def cached(model: LatentModel, folder: Path) -> CachedExamples:
    return CachedExamples(folder, read_index(folder).description, model.examples.info)


def rng(index: int = 0) -> np.random.Generator:
    return keyed_generator(0, index, 0, "example")


@pytest.mark.parametrize("space", ["parts/halved", "parts/halved_plainly"])
def test_every_row_is_what_the_encoder_makes(tmp_path: Path, open_model: OpenModel, space: str) -> None:
    model = open_model(f"space.type={space}", "space.weights=w")
    make(model, tmp_path)
    assert sorted(content(tmp_path)) == ["index.json", *(f"latents-0000{i}.safetensors" for i in range(4))]
    examples = cached(model, tmp_path)
    assert len(examples) == 50
    for batch in model.in_order(keys=("label",)).batches(first_step=0, last_step=12):
        rows = model.encoder.rows(batch.images_BCHW)
        for position, row, label in zip(batch.positions, rows, batch.raw["label"], strict=True):
            example = examples.example(position, rng())
            assert example.image_CHW.tobytes() == row.numpy().tobytes()
            assert example.conditions == {"label": label}


def test_the_data_digest_is_calibrations(tmp_path: Path, open_model: OpenModel) -> None:
    model = open_model()
    statistics = measure(model, examples=None, on_batch=lambda count: None).statistics
    assert (
        make(model, tmp_path).data
        == statistics.data
        == json.loads((tmp_path / "index.json").read_text())["data"]
    )


def test_half_precision(tmp_path: Path, open_model: OpenModel) -> None:
    model = open_model()
    make(model, tmp_path / "whole")
    make(model, tmp_path / "half", dtype="float16")
    row, half = (cached(model, tmp_path / name).example(7, rng()).image_CHW for name in ("whole", "half"))
    assert half.dtype == np.float16
    assert np.array_equal(row.astype(np.float16), half)


def test_too_large_for_half_precision(tmp_path: Path, open_model: OpenModel) -> None:
    with pytest.raises(DataError, match=r"row 30: .* too large for float16; .* --dtype float32"):
        make(open_model("data.offset=1e6", "data.offset_from=30"), tmp_path, dtype="float16")


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_stopped_between_files(
    tmp_path: Path, open_model: OpenModel, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Files of 13 rows and batches of 4: every file but the first begins inside a batch."""
    model = open_model()
    make(model, tmp_path / "whole")
    write, written = caching.write_shard, 0

    def write_until(*args: Any, **kwargs: Any) -> None:
        nonlocal written
        if written == stop:
            raise InterruptedError
        written += 1
        write(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(caching, "write_shard", write_until)
        with pytest.raises(InterruptedError):
            make(model, tmp_path / "stopped")
    assert len(content(tmp_path / "stopped")) == stop
    with pytest.raises(DataError, match="unfinished" if stop else "no cache of latents"):
        read_index(tmp_path / "stopped")
    make(model, tmp_path / "stopped")
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_a_removed_file_is_made_again(tmp_path: Path, open_model: OpenModel) -> None:
    make(open_model(), tmp_path)
    before = content(tmp_path)
    (tmp_path / "latents-00002.safetensors").unlink()
    make(open_model(), tmp_path)
    assert content(tmp_path) == before


def test_recalibration_leaves_a_cache_as_good_as_it_was(tmp_path: Path, open_model: OpenModel) -> None:
    before = make(open_model(), tmp_path)
    assert make(open_model("space.scale=0.2"), tmp_path) == before
    assert make(open_model("space.weights=moved"), tmp_path) == before


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.offset=0.1", "source.data.offset: 0.0 → 0.1"),
        ("train.seed=1", "seed: 0 → 1"),
        ("space.kind_of_padding=reflect", "source.space.kind_of_padding: 'zeros' → 'reflect'"),
    ],
)
def test_going_on_with_something_else(
    tmp_path: Path, open_model: OpenModel, override: str, told: str
) -> None:
    make(open_model(), tmp_path)
    before = content(tmp_path)
    with pytest.raises(DataError) as caught:
        make(open_model(override), tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: was made of something else (there → here):\n  {told}\n"
        "Take these back, or make another cache with another -o"
    )
    (tmp_path / "index.json").unlink()  # without it the files themselves still know
    with pytest.raises(DataError, match=r"latents-00000\.safetensors: belongs to another cache"):
        make(open_model(override), tmp_path)
    del before["index.json"]
    assert content(tmp_path) == before


def test_a_folder_of_other_things(tmp_path: Path, open_model: OpenModel) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(
        RunError, match=r"holds thesis\.tex, which is no part of this cache; choose another -o"
    ):
        make(open_model(), tmp_path)
    assert list(content(tmp_path)) == ["thesis.tex"]


def test_random_views(tmp_path: Path, open_model: OpenModel) -> None:
    """Each example three times; which is seen is drawn for each position, and all of them are."""
    model = open_model("data.random=true")
    with pytest.raises(DataError, match=r"draws another view of an example each time .* with --views"):
        described(model, views=None, dtype="float32", shard_examples=13)
    make(model, tmp_path, views=3)
    examples = cached(model, tmp_path)
    assert len(examples) == 50
    seen = {examples.example(4, rng(position)).image_CHW.tobytes() for position in range(40)}
    images = [model.examples.example(4, rng(50 * view + 4)).image_CHW for view in range(3)]
    rows = model.encoder.rows(
        torch.from_numpy(np.stack([*images, images[0]]))
    )  # a batch of 4, as they were made
    assert seen == {row.numpy().tobytes() for row in rows[:3]}
    with pytest.raises(DataError, match="--views 2: every view of parts/waves as configured is the same"):
        described(open_model(), views=2, dtype="float32", shard_examples=13)


def test_conditions_that_json_cannot_hold(
    tmp_path: Path, open_model: OpenModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_model()
    give = type(model.examples).example

    def example(self: Any, index: int, generator: np.random.Generator) -> Any:
        found = give(self, index, generator)
        return type(found)(found.image_CHW, {"label": np.array([index % 2])})

    with monkeypatch.context() as patch:
        patch.setattr(type(model.examples), "example", example)
        with pytest.raises(
            DataError, match=r"row 0: its condition 'label' \(a ndarray\) cannot be kept in a cache"
        ):
            make(model, tmp_path)
