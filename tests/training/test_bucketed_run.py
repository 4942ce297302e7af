"""A run in buckets of aspect ratios. Oracle: pictures that the test makes, of three shapes."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import diffloom
from diffloom import config
from diffloom.errors import ConfigError
from diffloom.latents.opening import open_model
from diffloom.plugins import Plugins
from diffloom.training import Trained
from diffloom.training.feed import Feed
from diffloom.training.preparation import prepare
from diffloom.training.split import Split

CONFIG = """\
image: {size: 8, channels: 1, buckets: {multiple: 4, largest_ratio: 4}}
space: parts/codes
backbone: {type: unet, channels: [8, 8], norm_groups: 4, attention_resolutions: [], blocks_per_level: 1}
schedule: linear
prediction: epsilon
sampling: {sampler: ddim, steps: 2}
data: {type: image_folder, path: PATH, flip: true}
train: {steps: 6, batch_size: 3, lr: 0.001, log_every: 1, sample_every: 6, checkpoint_every: 3}
"""


class TestRun:
    @pytest.fixture
    def pictures(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Wide, square and tall ones."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        folder = tmp_path / "pictures"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for index, (height, width) in enumerate([(8, 8), (16, 4), (4, 16)] * 4):
            pixels_HW = rng.integers(0, 256, (height, width), dtype=np.uint8)
            Image.fromarray(pixels_HW).save(folder / f"{index:02}.png")
        return folder

    def test_a_model_trains_on_all_shapes_and_samples_its_own(
        self,
        tmp_path: Path,
        pictures: Path,
        train_tiny: Callable[..., Trained],
        plugins: Plugins,
        parts: Path,
    ) -> None:
        """In latents with a posterior."""
        folder = train_tiny(tmp_path / "run", text=CONFIG.replace("PATH", str(pictures))).folder
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
        assert all(math.isfinite(row["loss"]) for row in rows)
        pipe = diffloom.load(folder, plugins=(str(parts),), device="cpu")
        assert pipe.sample(n=2).tensor.shape == (2, 1, 8, 8)
        assert pipe.document.image.info.shapes == ((16, 4), (8, 8), (4, 16))

    def test_every_shape_is_met(self, pictures: Path, plugins: Plugins) -> None:
        resolved = config.parse(CONFIG.replace("PATH", str(pictures)), name="text", registry=plugins.registry)
        prepared = prepare(resolved.document)
        assert prepared.buckets is not None
        assert prepared.buckets.bucket_N.tolist() == [1, 0, 2] * 4
        met = Feed(
            examples=prepared.examples,
            keys=(),
            shape=(1, 8, 8),
            seed=0,
            split=Split(batch_size=2),
            buckets=prepared.buckets,
        ).batches(first_step=0, last_step=6)
        assert Counter(tuple(batch.images_BCHW.shape) for batch in met) == {
            (2, 1, 16, 4): 2,
            (2, 1, 8, 8): 2,
            (2, 1, 4, 16): 2,
        }

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"image": {"size": 8, "channels": 1, "buckets": {"multiple": 2, "largest_ratio": 4}}},
                r"image\.buckets: a shape is 10×6: the backbone divides .* 5×3 .* by that; set `multiple` to 4",
            ),
            (
                {"latents": "folder"},
                "latents: a cache holds latents of one shape, and image.buckets asks for several",
            ),
            (
                {"conditioners": {"low": {"type": "image", "through": "space"}}},
                "conditioners.low: diffloom/image stacks pictures of the model's own shape",
            ),
            (
                {"image": {"size": 10, "channels": 1, "buckets": {"multiple": 4}}},
                "10×10 is not divisible by image.buckets",
            ),
            (
                {"image": {"size": 8, "channels": 1, "buckets": {"multiple": 8}}},
                "beside 8×8 there is no shape",
            ),
        ],
    )
    def test_what_goes_with_no_buckets(
        self, change: dict[str, object], message: str, plugins: Plugins
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            config.load({**yaml.safe_load(CONFIG), **change}, registry=plugins.registry)

    def test_latents_are_measured_in_one_shape(self, plugins: Plugins) -> None:
        space = {"type": "autoencoder_kl", "channels": [4, 4], "norm_groups": 2}
        source = {**yaml.safe_load(CONFIG), "space": space}
        resolved = config.load(source, registry=plugins.registry)
        with pytest.raises(ConfigError, match=r"image\.buckets=null"):
            open_model(
                config.require_diffusion(resolved.document, place="text"),
                registry=plugins.registry,
                device=torch.device("cpu"),
            )
