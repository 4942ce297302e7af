"""Small models that were trained, where random weights would mean nothing: kept in the user's cache folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffloom import config
from diffloom.plugins import load_plugins
from diffloom.training.run import train

NETWORK = {
    "type": "unet",
    "channels": [32, 64, 64],
    "blocks_per_level": 2,
    "attention_resolutions": [4],
    "head_channels": 16,
    "norm_groups": 8,
}
"""Three levels of 8, 4 and 2 pixels, or fewer."""
DRAWN = {"sampler": "ddim", "steps": 50, "spacing": "leading"}
"""diffusers' default."""
TRAINED = {"lr": 2e-3, "lr_schedule": {"warmup_steps": 50}, "ema": {"decay": 0.99}}


def pixel_model() -> Path:
    """Handwritten digits of 8×8 pixels, without a condition, on Ho et al.'s schedule."""
    return _trained(
        "digits",
        {
            "image": {"size": 8, "channels": 1},
            "backbone": NETWORK,
            "schedule": {"type": "linear", "steps": 1000, "beta_start": 1e-4, "beta_end": 0.02},
            "prediction": "epsilon",
            "sampling": DRAWN,  # not clipped: where diffusers clips, it leaves ε as it was, and follows another path
            "data": {"type": "digits", "split": "train"},
            "train": {"steps": 250, "batch_size": 48, **TRAINED},
        },
    )


def latent_model() -> Path:
    """The same in latents of 4×4 by 4 channels, on the schedule of Stable Diffusion; its autoencoder is trained too."""
    space = {
        "type": "autoencoder_kl",
        "channels": [16, 32],
        "blocks_per_level": 1,
        "latent_channels": 4,
        "norm_groups": 8,
    }
    shared = {"image": {"size": 8, "channels": 1}, "data": {"type": "digits", "split": "train"}}
    autoencoder = _trained(
        "autoencoder",
        {
            **shared,
            "space": space,
            "autoencoder": {"criteria": [{"type": "lp", "p": 2}], "regularisation": 1e-3},
            "train": {"steps": 150, "batch_size": 48, **TRAINED},
        },
    )
    return _trained(
        "latent_digits",
        {
            **shared,
            "space": {**space, "weights": str(autoencoder)},
            "backbone": {**NETWORK, "channels": [32, 64]},
            "schedule": {"type": "scaled_linear", "steps": 1000, "beta_start": 0.00085, "beta_end": 0.012},
            "prediction": "epsilon",
            "sampling": {**DRAWN, "spacing": {"type": "leading", "offset": 1}},
            "train": {"steps": 250, "batch_size": 48, **TRAINED},
        },
    )


def reference(run: Path, draw: Callable[[], Tensor]) -> Tensor:
    """What `draw` draws of a model, once: kept beside it."""
    kept = run.with_suffix(".pt")
    if not kept.exists():
        torch.save(draw(), kept)
    found: Tensor = torch.load(kept)
    return found


def _trained(name: str, model: Mapping[str, Any]) -> Path:
    """The run folder, trained with seed 0 where it is not there yet, whole or not at all."""
    plugins = load_plugins()
    resolved = config.load(dict(model), registry=plugins.registry)
    digest = resolved.digest[:12]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "diffloom" / "benchmarks"
    run = folder / f"{name}-{digest}"
    if not run.exists():
        beginning = folder / f"{name}-{digest}.{os.getpid()}"
        train(resolved, beginning, plugins=plugins)
        shutil.move(beginning, run)
    return run
