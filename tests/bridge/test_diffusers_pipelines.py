"""Whole models from diffusers and back. Oracle: diffusers' own pipelines, from the same weights and the same noise."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file
from torch import Tensor

import diffloom
from diffloom.process import Draws

SEED, STEPS, SCALE = 5, 4, 7.5
PROMPTS = ["a red heart", "Two cats & a dog, 1990s"]
TOLERANCE = 2e-5
"""Of values in [0, 1]: float32 networks, each evaluated 2·STEPS times with its own order of additions."""


def noise(pipe: diffloom.Pipeline) -> Tensor:
    """The noise that `sample(seed=SEED)` begins with."""
    keys = [(SEED, index) for index in range(len(PROMPTS))]
    return Draws(keys).normal("prior", pipe.document.space_info.shape)


def theirs(folder: Path, latents: Tensor, **options: Any) -> Tensor:
    """What diffusers draws, in [0, 1]."""
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    images: Tensor = pipeline(
        PROMPTS,
        latents=latents.clone(),
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        output_type="pt",
        **options,
    ).images
    return images


def ours(pipe: diffloom.Pipeline) -> Tensor:
    """What we draw, in [0, 1]."""
    return pipe.sample(prompt=PROMPTS, seed=SEED, steps=STEPS, guidance=SCALE).tensor / 2 + 0.5


def test_the_same_pictures_of_prompts(sd_folder: Path) -> None:
    pipe = diffloom.load(sd_folder, device="cpu")
    assert pipe.document.image.size == 16
    images = ours(pipe)
    torch.testing.assert_close(images, theirs(sd_folder, noise(pipe)), rtol=0, atol=TOLERANCE)
    assert images.std() > 0.02, "pictures of nothing would agree too"
