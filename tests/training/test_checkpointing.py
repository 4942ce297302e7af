"""Gradient checkpointing changes no number. Oracle: the same run without it, compared bit for bit, and live memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import diffloom
from diffloom.nn import blocks, key_dropout
from diffloom.planning.live_bytes import LiveBytes
from diffloom.process import Draws

DIFFUSION = """\
image: {{size: 8, channels: 1}}
conditioners: {{{conditioner}}}
backbone: {{{backbone}, channels: [8, 16], blocks_per_level: 1, norm_groups: 4, dropout: 0.2}}
schedule: {{type: linear, steps: 1000}}
prediction: epsilon
objective: {objective}
sampling: {{sampler: ddim, steps: 2}}
data: {data}
train: {{steps: 20, batch_size: 2, lr: 1e-2, gradient_checkpointing: {checkpointing}}}
"""
AUTOENCODER = """\
image: {{size: 8, channels: 3}}
space: {{{space}}}
autoencoder: {{criteria: {criteria}}}
data: {{type: parts/gaussian}}
train: {{steps: 20, batch_size: 4, lr: 1e-3, gradient_checkpointing: {checkpointing}}}
"""
GAUSSIAN = "{type: parts/gaussian, class_means: [-0.5, 0.5]}"
LABEL = "label: {type: class_label, classes: 2, dropout: 0.2}"
MODELS = {
    "unet": {
        "conditioner": LABEL,
        "backbone": "type: unet, attention_resolutions: [4]",
        "objective": "simple",
    },
    "adm": {
        "conditioner": LABEL,
        "backbone": "type: unet, attention_resolutions: [4], embedding: scale_shift, resample: residual",
        "objective": "simple",
    },
    "tokens": {
        "conditioner": "label: {type: class_token, classes: 2, width: 8, dropout: 0.2}",
        "backbone": "type: cross_attention_unet, transformer_depth: [1, 2], heads: 2",
        "objective": "simple",
    },
}
KL = "type: autoencoder_kl, channels: [8, 8], blocks_per_level: 1, latent_channels: 2, norm_groups: 2"
SPACES = {
    "kl": (
        KL,
        "[{type: lp}, {type: patch_adversarial, start_step: 5, channels: 4, norm_groups: 2, layers: 1}]",
    ),
    "vq": (KL.replace("_kl", "_vq") + ", codebook: 16", "[{type: lp}]"),
    "tiny": (
        "type: tiny_autoencoder, channels: 8, pooled_middle: true, blocks: [1, 1], latent_channels: 2",
        "[{type: lp}]",
    ),
}


@pytest.fixture
def both(tmp_path: Path, train_tiny, outcome):
    """Trains with and without checkpointing; returns what came of each."""

    def run(text: str, **filled: str):
        found = []
        for checkpointing in ("false", "true"):
            folder = tmp_path / checkpointing
            train_tiny(folder, text=text.format(checkpointing=checkpointing, **filled))
            found.append(outcome(folder))
        return found

    return run


@pytest.mark.parametrize("model", MODELS)
def test_a_diffusion_model_trains_the_same(model: str, both) -> None:
    without, with_it = both(DIFFUSION, data=GAUSSIAN, **MODELS[model])
    assert with_it == without


@pytest.mark.parametrize("space", SPACES)
def test_an_autoencoder_trains_the_same(space: str, both) -> None:
    config, criteria = SPACES[space]
    without, with_it = both(AUTOENCODER, space=config, criteria=criteria)
    assert with_it == without


def test_a_text_encoder_trains_the_same(both, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    captions = []
    for number, caption in enumerate(["a red dot", "a blue dot", "a red line", "a dark sky"]):
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(data / f"{number}.png")
        captions.append(json.dumps({"file": f"{number}.png", "caption": caption}))
    (data / "captions.jsonl").write_text("\n".join(captions))
    conditioner = (
        "prompt: {type: transformer_text, width: 8, layers: 2, heads: 2, head_channels: 4, length: 16, "
        "vocabulary: 280, masked: true, dropout: 0.2}"
    )
    without, with_it = both(
        DIFFUSION,
        data=f"{{type: captioned_folder, path: {data}}}",
        conditioner=conditioner,
        backbone=MODELS["tokens"]["backbone"],
        objective="simple",
    )
    assert with_it == without
    assert any("prompt" in name and "blocks.1" in name for _, name in without["tensors"])


def test_activations_are_a_third() -> None:
    """Of a U-Net in the manner of Ho et al.: what is alive between the ways forward and back, beyond the weights."""
    pipeline = diffloom.build(
        "diffloom:cifar10_ddpm",
        ["backbone.channels=[16,32,32,32]", "backbone.norm_groups=8", "backbone.attention_resolutions=[16]"],
        device="cpu",
    )
    network = pipeline.backbone.train()
    key_dropout(network, Draws.of(0, range(4)))
    alive = {}
    for recomputed in (False, True):
        for block in blocks(network).values():
            block.recomputed = recomputed
        live = LiveBytes(torch.device("cpu"))
        live.name("weights", network.parameters())
        before = live.live_bytes
        with live:
            out = network(torch.zeros(4, 3, 32, 32), torch.zeros(4))
        alive[recomputed] = live.live_bytes - before
        del out
    assert alive[True] < alive[False] / 3
