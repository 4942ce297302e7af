"""A tenth of the shipped run on real digits. Oracle: the error of the best constant picture, in closed form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from diffloom import config
from diffloom.checkpoint import load_strict, open_checkpoint
from diffloom.kinds import Examples
from diffloom.plugins import load_plugins
from diffloom.process import keyed_generator
from diffloom.training import train


def pictures(examples: Examples) -> torch.Tensor:
    rng = keyed_generator(0, 0, 0, "unused")
    return torch.from_numpy(
        np.stack([examples.example(index, rng).image_CHW for index in range(len(examples))])
    )


def test_it_learns_to_give_digits_back(tmp_path: Path, configs: Path) -> None:
    """Whoever answers with the mean digit has the variance of the pixels as error; held-out digits come back with
    less than 40 % of it (measured: 27 %; after the shipped 600 steps 1.4 %)."""
    plugins = load_plugins()
    short = ["train.steps=60", "train.batch_size=32", "train.ema.decay=0.9", "train.sample_every=null"]
    resolved = config.load(configs / "autoencoder_digits.yaml", short, registry=plugins.registry)
    trained = train(resolved, tmp_path / "run", plugins=plugins, device="cpu")

    document = resolved.document
    codec = document.space.build(image=document.image.info).eval()
    averages = open_checkpoint(trained.checkpoint).tensors("ema")
    own = {name.removeprefix("space."): tensor for name, tensor in averages.items()}
    load_strict(codec, own, trained.checkpoint)  # of the criteria, lp has no weights
    held_out = pictures(type(document.data)(split="heldout").build(image=document.image.info))
    with torch.no_grad():
        back = codec.decode(codec.encode(held_out))
    error = (back - held_out).square().mean()
    assert error < 0.4 * held_out.var(0, correction=0).mean()

    rows = [json.loads(line) for line in (trained.folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["lp"] < 0.5 * rows[0]["lp"]
