"""Runs that are trained from a data set, held and streamed. Oracle: the run that was never stopped, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffloom import config
from diffloom.checkpoint import open_checkpoint
from diffloom.errors import ConfigError, DataError
from diffloom.plugins import Plugins, load_plugins
from diffloom.training import train
from diffloom.training.loop import Loop
from diffloom.training.run_folder import RunFolder

PARTS = Path(__file__).parents[2] / "training" / "parts.py"
LATENT = Path(__file__).parents[2] / "latents" / "parts.py"
FILE = """\
image: {size: 4, channels: 3}
conditioners:
  label: {type: class_label, dropout: 0.2}
backbone: parts/perceptron
schedule: {type: linear, steps: 1000}
prediction: epsilon
sampling: {sampler: ddpm, steps: 2}
data: {type: hugging_face, path: PATH, picture: image, crop: random, flip: true, streaming: true, shuffle_buffer: 5}
train: {steps: 12, batch_size: 5, lr: 1e-2, log_every: 4, checkpoint_every: 100}
"""
Run = Callable[..., RunFolder]


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins((str(PARTS),))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, parquet: str, plugins: Plugins) -> Run:
    """Trains the file here, with overrides; `stop` ends it before a step as a lost connection would."""
    file = tmp_path_factory.mktemp("file") / "file.yaml"
    file.write_text(FILE.replace("PATH", parquet))

    def go(folder: Path, *overrides: str, resume: bool = False, stop: int | None = None) -> RunFolder:
        take = Loop._step

        def step(loop: Loop, passes: Any) -> Any:
            if loop.state.step == stop:
                raise InterruptedError
            return take(loop, passes)

        resolved = config.load(file, overrides, registry=plugins.registry)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Loop, "_step", step)
            train(resolved, folder, plugins=plugins, resume=resume, device="cpu")
        return RunFolder(folder)

    return go


def computed(run: RunFolder) -> dict[str, str]:
    """The digests of all that the run ended with: weights, averages, moments, figures."""
    latest = run.latest()
    assert latest is not None
    digests = dict(open_checkpoint(latest).header.digests)
    digests.pop("feed", None)  # between two blocks a stream can be entered at either
    return digests


@pytest.mark.parametrize("streaming", ["true", "false"])
def test_stopped_and_resumed(tmp_path: Path, run: Run, streaming: str) -> None:
    """In the middle of an epoch of twelve, of a block and of a row group of five; with workers and without."""
    words = (f"data.streaming={streaming}", "train.checkpoint_every=4")
    whole = run(tmp_path / "whole", *words)
    for stop, more in ((6, ()), (9, ("train.workers=2",))):
        with pytest.raises(InterruptedError):
            run(tmp_path / "parts", *words, *more, resume=stop > 6, stop=stop)
    resumed = run(tmp_path / "parts", *words, resume=True)
    assert computed(whole) == computed(resumed)


@pytest.mark.parametrize("streaming", ["true", "false"])
def test_the_model_learns_the_names_of_the_classes(tmp_path: Path, run: Run, streaming: str) -> None:
    ended = run(tmp_path / "run", f"data.streaming={streaming}", "train.steps=1")
    assert "classes: [cat, dog, owl]" in ended.resolved.read_text()


def test_damaged_pictures_are_replaced_and_counted(tmp_path: Path, run: Run, table: Any) -> None:
    import datasets

    rows = (
        table.select_columns(["image", "label"]).cast_column("image", datasets.Image(decode=False)).to_list()
    )
    rows[3]["image"]["bytes"] = rows[3]["image"]["bytes"][:70]
    features = table.select_columns(["image", "label"]).features
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "damaged.parquet")
    counts = []
    for streaming in ("true", "false"):
        path = f"data.path={tmp_path / 'damaged.parquet'}"
        ended = run(tmp_path / streaming, path, f"data.streaming={streaming}")
        figures = [json.loads(line) for line in ended.metrics.read_text().splitlines()]
        counts.append(sum(row.get("replaced_examples", 0) for row in figures))
    assert counts == [5, 5]  # sixty positions are five epochs of twelve


class TestLatents:
    """A stream and what needs the whole set."""

    def test_no_cache_is_trained_from(self, tmp_path: Path, parquet: str) -> None:
        plugins = load_plugins((str(LATENT),))
        text = FILE.replace("PATH", parquet).replace(
            "backbone: parts/perceptron", "backbone: parts/one_layer"
        )
        text += "space: parts/halved\nlatents: somewhere\n"
        resolved = config.parse(text, name="file", registry=plugins.registry)
        with pytest.raises(
            ConfigError, match="latents: a cache holds examples by their number, and diffloom/hugging_"
        ):
            train(resolved, tmp_path / "run", plugins=plugins, device="cpu")


def test_nothing_at_all(tmp_path: Path, run: Run) -> None:
    (tmp_path / "rows.jsonl").write_text('{"image": "gone.png"}\n')
    with pytest.raises(DataError, match=r"image: gone\.png cannot be read"):
        run(tmp_path / "run", f"data.path={tmp_path / 'rows.jsonl'}")
