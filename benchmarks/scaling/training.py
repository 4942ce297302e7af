"""Training, against the number of images in its data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from benchmarks.scaling.growth import Cost, Growth
from benchmarks.scaling.meter import measured
from PIL import Image

from diffloom import config
from diffloom.plugins import load_plugins
from diffloom.training import train

SIZE, STEPS = 16, 4


def growths(device: torch.device) -> Iterator[Growth]:
    """A short run from its beginning to its end."""
    yield Growth(
        "training images",
        f"`diffloom train`, {STEPS} steps of 8 images, from a folder of PNG files",
        (250, 500, 1000, 2000, 4000),
        lambda count: _trained(count, device),
        "a step costs what its batch does, however many images there are; before the first, every file is looked up "
        "once, and an image is opened when its turn comes",
    )


def _trained(count: int, device: torch.device) -> Cost:
    plugins = load_plugins()
    with TemporaryDirectory() as name:
        folder = Path(name)
        _images(folder / "images", count)
        document = {
            "image": {"size": SIZE, "channels": 3},
            "backbone": {"type": "unet", "channels": [32], "blocks_per_level": 1, "norm_groups": 8},
            "schedule": {"type": "linear", "steps": 1000},
            "prediction": "epsilon",
            "sampling": {"sampler": "ddim", "steps": 2},
            "data": {"type": "image_folder", "path": str(folder / "images")},
            "train": {"steps": STEPS, "batch_size": 8, "lr": 1e-3, "sample_every": None},
        }
        resolved = config.load(document, registry=plugins.registry)
        return measured(lambda: train(resolved, folder / "run", plugins=plugins, device=device), device)


def _images(folder: Path, count: int) -> None:
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(count):
        pixels = noise.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06d}.png")
