"""Sampling, against batch, resolution, steps and number of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from benchmarks.scaling.growth import Cost, Growth
from benchmarks.scaling.meter import measured

import diffloom

MODEL = {
    "backbone": {
        "type": "unet",
        "channels": [64, 128, 128],
        "blocks_per_level": 1,
    },
    "schedule": {"type": "linear", "steps": 1000},
    "prediction": "epsilon",
    "sampling": {"sampler": "ddim", "steps": 4},
}
TINY = {**MODEL, "backbone": {"type": "unet", "channels": [32], "blocks_per_level": 1, "norm_groups": 8}}
SIZE, BATCH, STEPS = 32, 4, 4


def growths(device: torch.device) -> Iterator[Growth]:
    """Each beside what stays: 32×32 pixels, batches of 4, 4 steps."""

    def drawing(*, size: int = SIZE, count: int = BATCH, steps: int = STEPS) -> Callable[[], object]:
        pipe = _model(size, device)
        return lambda: pipe.sample(n=count, steps=steps)

    def cost_of(**grown: int) -> Cost:
        call = drawing(**grown)
        call()  # makes the network ready
        return measured(call, device)

    yield Growth(
        "batch",
        f"sampling {SIZE}×{SIZE} pixels, {STEPS} steps",
        (1, 2, 4, 8, 16),
        lambda batch: cost_of(count=batch),
        "the network computes each image by itself; what it costs to call it at all counts in small batches",
    )
    yield Growth(
        "resolution (pixels along a side)",
        f"sampling batches of {BATCH}, {STEPS} steps",
        (16, 32, 64, 128),
        lambda size: cost_of(size=size),
        "convolutions cost their pixels, whose number is the square of the side; attention, whose pairs of pixels grow "
        "with its fourth power, is at the coarsest level alone, where a side is a quarter",
    )
    yield Growth(
        "steps",
        f"sampling {BATCH} images of {SIZE}×{SIZE} pixels",
        (2, 4, 8, 16, 32),
        lambda steps: cost_of(steps=steps),
        "each step is one call of the network; a solver remembers its last few, however many there were",
    )
    yield Growth(
        "samples",
        "`diffloom sample -n N -o folder`, 16×16 pixels in batches of 16, 2 steps",
        (32, 64, 128, 256, 512),
        lambda count: _streamed(count, device),
        "batches follow each other, and each is written while the next is computed: no more than a few are in memory",
    )


@cache
def _model(size: int, device: torch.device) -> diffloom.Pipeline:
    document = {"image": {"size": size, "channels": 3}, **MODEL}
    return diffloom.build(document, [f"backbone.attention_resolutions=[{size // 4}]"], device=device)


def _streamed(count: int, device: torch.device) -> Cost:
    pipe = diffloom.build({"image": {"size": 16, "channels": 3}, **TINY}, device=device)
    pipe.sample(n=16, steps=2)
    with TemporaryDirectory() as folder:
        return measured(lambda: pipe.sample_to(Path(folder) / "out", n=count, steps=2, batch_size=16), device)
