"""Latents of data that other components read. Oracles: the encoder itself; numpy over the points that it gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import datasets
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from torch import nn

from diffloom.cli.calibrate import calibrate
from diffloom.errors import DataError
from diffloom.latents.cache import open_cache
from diffloom.latents.caching import Caching, described
from diffloom.latents.calibration import measure
from diffloom.latents.model import LatentModel

OpenModel = Callable[..., LatentModel]
COUNT = 21


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Grey pictures of noise with a label, as Parquet: the override that reads them."""
    folder = tmp_path_factory.mktemp("table")
    pictures = [
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 12), np.uint8)) for i in range(COUNT)
    ]
    names = datasets.ClassLabel(names=["a", "b"])
    features = datasets.Features({"image": datasets.Image(), "label": names})
    rows = {"image": pictures, "label": [i % 2 for i in range(COUNT)]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / "rows.parquet")
    return f"{{type: hugging_face, path: {folder / 'rows.parquet'}, cache: {folder / 'cache'}"


def test_a_table_is_cached(tmp_path: Path, open_model: OpenModel, data: str) -> None:
    model = open_model(f"data={data}}}")
    description = described(model, views=None, dtype="float32", shard_examples=8)
    Caching(model, tmp_path, description).run(on_rows=lambda count: None)
    cached = open_cache(tmp_path, model.document, cast(nn.Module, model.encoder.codec), model.examples)
    assert len(cached) == COUNT
    for batch in model.in_order(keys=("label",)).batches(first_step=0, last_step=5):
        for position, row in zip(batch.positions, model.encoder.rows(batch.images_BCHW), strict=True):
            example = cached.example(position, np.random.default_rng(0))
            assert example.image_CHW.tobytes() == row.numpy().tobytes()
            assert example.conditions == {"label": position % 2}


class TestAStream:
    @pytest.fixture
    def model(self, open_model: OpenModel, data: str) -> LatentModel:
        return open_model(f"data={data}, streaming: true, shuffle_buffer: 4}}")

    def test_is_not_cached(self, model: LatentModel) -> None:
        with pytest.raises(
            DataError, match="as configured is a stream, and a cache holds examples by their number"
        ):
            described(model, views=None, dtype="float32", shard_examples=8)

    def test_is_not_measured_whole(self, model: LatentModel) -> None:
        with pytest.raises(DataError, match="which nobody has counted; say with --examples how many"):
            measure(model, examples=None, on_batch=lambda count: None)

    def test_its_first_examples_are_measured(self, model: LatentModel) -> None:
        """Ten, which are two batches of four and half of a third. A latent's variance is that of the means and the mean
        of the variances."""
        told: list[int] = []
        statistics = measure(model, examples=10, on_batch=told.append).statistics
        assert told == [4, 4, 2]
        batches = model.shuffled().batches(first_step=0, last_step=3)
        points = [model.encoder.points(model.encoder.rows(batch.images_BCHW)) for batch in batches]
        mean_BCHW, deviation_BCHW = (
            np.concatenate([cast("np.ndarray", part[i].double().numpy()) for part in points])[:10]
            for i in (0, 1)
        )
        mean_C = mean_BCHW.mean((0, 2, 3))
        variance_C = mean_BCHW.var((0, 2, 3)) + (deviation_BCHW**2).mean((0, 2, 3))
        # float32 keeps seven digits
        np.testing.assert_allclose(statistics.mean, mean_C, rtol=1e-6)
        np.testing.assert_allclose(statistics.std, np.sqrt(variance_C), rtol=1e-6)
        assert statistics.examples == 10


class TestBuckets:
    WORDS = ("image.buckets={multiple: 2}",)

    def test_are_not_cached(self, open_model: OpenModel, data: str) -> None:
        model = open_model(f"data={data}}}", *self.WORDS)
        with pytest.raises(DataError, match=r"image\.buckets: a cache holds latents of one shape"):
            described(model, views=None, dtype="float32", shard_examples=8)

    def test_are_measured_in_the_pictures_own_shape(self, open_model: OpenModel, data: str) -> None:
        plain, bucketed = (
            measure(open_model(f"data={data}}}", *words), examples=None, on_batch=lambda count: None)
            for words in ((), self.WORDS)
        )
        assert plain == bucketed


def test_the_command_says_what_a_stream_needs(latent_yaml: Path, parts: Path, data: str) -> None:
    words = [str(latent_yaml), f"data={data}, streaming: true}}", "-p", str(parts)]
    done = CliRunner().invoke(calibrate, words)
    assert isinstance(done.exception, DataError)
    assert "--examples" in str(done.exception)
    done = CliRunner().invoke(calibrate, [*words, "--examples", "9"], catch_exceptions=False)
    assert "over 9 examples" in done.output
    assert "examples: 9" in latent_yaml.read_text()
