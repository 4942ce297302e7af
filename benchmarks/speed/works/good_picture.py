"""An equally good picture: whole calls, each side's error that of its pictures to a walk of 1000 steps.

The peer's is what its pipeline does by default, 50 steps of DDIM on a leading grid. Ours is, of the solvers and grids
of `ENTRANTS`, the one that needs the fewest network calls for an error no larger, found here and now by trying. Both
begin with the same noise and the same trained weights, which reach diffusers through the bridge.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.goal import Goal
from benchmarks.speed.trained import latent_model, pixel_model, reference
from diffusers import AutoencoderKL, DDIMPipeline, DDIMScheduler, LDMPipeline, UNet2DModel
from torch import Tensor

import diffloom
from diffloom import Pipeline
from diffloom.bridge.export.exporting import export
from diffloom.inspection.distance import path_error

COUNT = 16
ENTRANTS = tuple(
    (sampler, spacing)
    for sampler in ("dpmpp_2m", "deis", "unipc")
    for spacing in ("trailing", "karras", "log_snr_uniform")
)
"""Of the solvers that ask once a step and the grids for which the bake-off found the least errors."""
FIRST, STEEPEST = 5, 2.5
"""Steps to begin with; and by how much an error falls with one more step, at most: 2.2 was the most of all these."""


@dataclass(frozen=True)
class Found:
    """The fewest steps that are enough."""

    sampler: str
    spacing: str
    steps: int
    error: float

    def __str__(self) -> str:
        return f"diffloom, {self.sampler} on {self.spacing}, {self.steps} steps: error {self.error:.4f}"


def cases(device: torch.device) -> Iterator[Case]:
    """Sixteen digits: in pixels, and in latents with their decoding."""
    with TemporaryDirectory() as folder:
        yield _case("pixels", pixel_model(), _pixel_peer(pixel_model(), Path(folder), device), device)
        yield _case("latents", latent_model(), _latent_peer(latent_model(), Path(folder), device), device)


def _case(what: str, run: Path, peer: Any, device: torch.device) -> Case:
    peer.set_progress_bar_config(disable=True)
    ours = diffloom.load(run, device=device)
    shape = (COUNT, *ours.document.space_info.shape)
    start_BCHW = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)

    def theirs() -> Tensor:
        images = peer(
            batch_size=COUNT, generator=torch.Generator().manual_seed(0), output_type="np"
        ).images  # the same noise, drawn anew
        return 2 * torch.from_numpy(images).permute(0, 3, 1, 2) - 1

    draw = partial(_drawn, ours, start_BCHW)
    goal = reference(run, partial(draw, sampler="ddim", spacing="trailing", steps=1000))
    most = path_error(theirs(), goal)
    found = _fewest(draw, goal, most)
    goals = [Goal(f"an equally good picture, in {what}, whole call", "speed", 4)]
    return Case(
        f"an equally good picture, {COUNT} digits in {what}, whole call",
        Arm(f"diffusers, DDIM, 50 steps: error {most:.4f}", theirs),
        [
            Arm(
                str(found),
                partial(draw, sampler=found.sampler, spacing=found.spacing, steps=found.steps),
                goals,
            ),
            Arm("diffloom, the same as the peer", draw, turns=2),
        ],
        rounds=5,
    )


def _drawn(pipeline: Pipeline, start_BCHW: Tensor, **asked: Any) -> Tensor:
    return pipeline.sample(start=start_BCHW, n=COUNT, **asked).tensor.cpu()


def _fewest(draw: Callable[..., Tensor], goal: Tensor, most: float) -> Found:
    """The first number of steps at which somebody is good enough, and who is best there.

    Who errs far too much is not tried with the next number, but with the first that could be enough.
    """
    due = dict.fromkeys(ENTRANTS, FIRST)
    for steps in range(FIRST, 51):
        tried = [
            Found(sampler, spacing, steps, path_error(made, goal))
            for (sampler, spacing), first in due.items()
            if first == steps
            for made in [draw(sampler=sampler, spacing=spacing, steps=steps)]
        ]
        if good := [found for found in tried if found.error <= most]:
            return min(good, key=lambda found: found.error)
        for found in tried:
            due[found.sampler, found.spacing] = steps + math.ceil(math.log(found.error / most, STEEPEST))
    raise AssertionError("no solver is as good with as many steps")


def _pixel_peer(run: Path, folder: Path, device: torch.device) -> DDIMPipeline:
    export(run, folder / "pixels", to="diffusers", registry=diffloom.load(run, device="cpu").registry)
    return DDIMPipeline.from_pretrained(folder / "pixels").to(device)


def _latent_peer(run: Path, folder: Path, device: torch.device) -> LDMPipeline:
    """Of its parts: diffusers' folders know no pipeline for latents of a KL autoencoder without a condition."""
    registry = diffloom.load(run, device="cpu").registry
    for part in ("backbone", "space"):
        export(run, folder / part, to="diffusers", registry=registry, part=part)
    schedule = diffloom.load(run, device="cpu").document.schedule
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=schedule.beta_start,
        beta_end=schedule.beta_end,
        clip_sample=False,
        steps_offset=1,
    )
    autoencoder = AutoencoderKL.from_pretrained(folder / "space")
    autoencoder.register_to_config(scaling_factor=1.0)  # as ours was trained
    unet = UNet2DModel.from_pretrained(folder / "backbone")
    return LDMPipeline(vqvae=autoencoder, unet=unet, scheduler=scheduler).to(device)
