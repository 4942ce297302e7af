"""Deep features remembered (Ma et al. 2023): 50 steps of DDIM with and without, and what it costs in accuracy.

The error of an arm is that of its pictures to those of the walk that computes everything. Beside it stands that of this
walk to one of 1000 steps: what is smaller is hidden by the solver's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.goal import Goal
from benchmarks.speed.trained import latent_model, pixel_model, reference
from torch import Tensor

import diffloom
from diffloom import Pipeline
from diffloom.inspection.candidates import changed
from diffloom.inspection.distance import path_error

COUNT = 16
WAYS = (
    {"every": 2},
    {"every": 3},
    {"every": 5},
    {"every": 5, "center": 0.8, "power": 1.4},
)
ASKED = {"every": 3}
"""Of these, the one that is held to the goal; its error stands in its name."""
GOAL = Goal("deep features, one level in 3 whole, 50 steps", "speed", 1.8)


def cases(device: torch.device) -> Iterator[Case]:
    """Digits in pixels and in latents; the whole call."""
    for what, run in (("pixels", pixel_model()), ("latents", latent_model())):
        plain = partial(_drawn, _pipeline(run, None, device))
        pictures = plain()
        goal = reference(run.with_name(f"{run.name}-steps"), partial(plain, steps=1000, spacing="trailing"))
        arms = []
        for way in WAYS:
            draw = partial(_drawn, _pipeline(run, way, device))
            name = f"{_words(way)}: error {path_error(draw(), pictures):.4f}"
            arms.append(Arm(name, draw, [GOAL]) if way == ASKED else Arm(name, draw, turns=2))
        own = Arm(f"diffloom, everything computed: error of 50 steps {path_error(pictures, goal):.4f}", plain)
        yield Case(f"deep features, {COUNT} digits in {what}, 50 DDIM steps", own, arms, rounds=5)


def _pipeline(run: Path, way: dict[str, Any] | None, device: torch.device) -> Pipeline:
    """One that keeps the network that is ready for its own way."""
    pipeline = diffloom.load(run, device=device)
    caching = "null" if way is None else json.dumps({"type": "deep_features", **way})
    document = changed(pipeline.document, f"sampling.caching={caching}", registry=pipeline.registry)
    return replace(pipeline, document=document)


def _drawn(pipeline: Pipeline, **asked: Any) -> Tensor:
    return pipeline.sample(n=COUNT, seed=0, **asked).tensor.cpu()


def _words(way: dict[str, Any]) -> str:
    whole = f"one level in {way['every']} whole"
    return f"{whole}, densest at {way['center']:.0%}" if "center" in way else whole
