"""The same model trained as diffusers' own script does: examples/unconditional_image_generation/train_unconditional.py.

Its parts (UNet2DModel, DDPMScheduler, AdamW over all weights, cosine schedule after a warm-up, EMAModel, clipping at 1,
torch's own noise) in its order, with a label dropped for one example in ten, which that script does not know.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from diffloom_clip.library import import_torchvision

import_torchvision()  # diffusers imports it too

from diffusers import DDPMScheduler, UNet2DModel  # noqa: E402
from diffusers.optimization import get_scheduler  # noqa: E402
from diffusers.training_utils import EMAModel  # noqa: E402

from diffloom.config.document import Train  # noqa: E402


@dataclass(frozen=True)
class Learned:
    """What a run of the peer leaves."""

    averaged: UNet2DModel
    """The network with its averaged weights."""
    losses: list[float]
    """Mean loss of each `log_every` steps."""


def train_peer(
    network: UNet2DModel,
    pixels_NHW: NDArray[np.uint8],
    labels_N: NDArray[np.int64],
    order: Sequence[int],
    train: Train,
    *,
    betas: tuple[float, float],
    decay: float,
    dropout: float,
) -> Learned:
    """Train from the weights given; `order` is which example stands at each position."""
    torch.manual_seed(train.seed)
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    ema = EMAModel(network.parameters(), decay=decay)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=train.lr, betas=betas, weight_decay=train.optimizer.weight_decay
    )
    rates = get_scheduler(
        "cosine",
        optimizer,
        num_warmup_steps=train.lr_schedule.warmup_steps,
        num_training_steps=train.steps,
    )
    network.train()
    row: list[float] = []
    losses: list[float] = []
    for step in range(train.steps):
        chosen = list(order[step * train.batch_size : (step + 1) * train.batch_size])
        x0 = torch.from_numpy(pixels_NHW[chosen][:, None]).float() / 127.5 - 1
        labels = torch.from_numpy(labels_N[chosen].astype(np.int64))
        labels[torch.rand(len(labels)) < dropout] = 10
        noise = torch.randn_like(x0)
        times = torch.randint(0, 1000, (len(x0),))
        loss = torch.nn.functional.mse_loss(
            network(scheduler.add_noise(x0, noise, times), times, class_labels=labels).sample, noise
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        rates.step()
        optimizer.zero_grad()
        ema.step(network.parameters())
        row.append(float(loss.detach()))
        if len(row) == train.log_every:
            losses.append(sum(row) / len(row))
            row.clear()
    averaged = copy.deepcopy(network)
    ema.copy_to(averaged.parameters())
    return Learned(averaged.eval(), losses)
