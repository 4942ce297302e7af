"""Every spacing on every schedule, as a document. Oracles: the schedule's ends, and the mixture itself on the levels.

A spacing is refused by lint, or, where that takes the schedule's tables, when the model is put together or its levels
are asked for; each refusal with a reason and a remedy. What is accepted visits as many falling levels as there are
steps, within the schedule, and draws the image that the mixture itself draws there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from diffloom import Pipeline, config
from diffloom.assembly import assemble
from diffloom.config.plain import plain
from diffloom.errors import ConfigError
from diffloom.kinds import Schedule, Spacing
from diffloom.process import CLEAN
from diffloom.registry import Registry
from diffloom.request import Request
from diffloom.testing.closed_forms import normal
from diffloom.testing.course import walked
from diffloom.testing.oracle import OracleNetwork
from diffloom_samplers import DDIM

STEPS = (8, 3, 45, 50, 2, 11)
"""The kit's lists of levels and sections are for 2, 3, 45 and 50 steps."""
TOLD = re.compile(r".*(spacing|steps): .{15,}[;:] (give|lengthen|set|take|use) .+", re.DOTALL)


def test_every_spacing_serves_every_schedule_or_says_why_not(
    any_spacing: Spacing, specimens: Callable[[str], list[Any]], registry: Registry
) -> None:
    served, untold, wrong = 0, [], []
    for schedule in specimens("schedule"):
        for steps in STEPS:
            try:
                pipe = built(schedule, any_spacing, steps, registry)
            except ConfigError as error:
                untold += [str(error)] if not TOLD.fullmatch(str(error)) else []
                continue
            served += 1
            wrong += [f"{schedule!r}, {steps} steps: {problem}" for problem in problems(pipe, steps)]
            break
    assert untold == []
    assert wrong == []
    assert served >= 2


def built(schedule: Schedule, spacing: Spacing, steps: int, registry: Registry) -> Pipeline:
    """The model in float64. Raises ConfigError where they do not fit."""
    text = json.dumps(
        {
            "image": {"size": 2, "channels": 1},
            "backbone": {"type": "oracle", "std": 0.4, "spread": 0.6},
            "schedule": plain(schedule),
            "prediction": "v",
            "sampling": {"sampler": "ddim", "steps": steps, "spacing": plain(spacing)},
        }
    )
    document = config.parse(text, name="spaced.yaml", registry=registry).document
    pipe = assemble(config.require_diffusion(document, place=""), registry=registry)
    pipe.module.double()
    pipe.levels(pipe.document.sampling)  # of a learned schedule they are not known before its weights
    return pipe


def problems(pipe: Pipeline, steps: int) -> list[str]:
    """What is wrong with the levels, or with the image."""
    *levels, clean = pipe.levels(pipe.document.sampling)
    found = []
    if clean != CLEAN or len(levels) != steps:
        found.append(f"{len(levels)} levels")
    if any(one.log_snr >= other.log_snr for one, other in pairwise(levels)):
        found.append("levels that do not fall")
    axis = pipe.schedule.axis
    noisiest, cleanest, _ = pipe.schedule.levels([axis.last, axis.first])
    if levels[0].log_snr < noisiest.log_snr - 1e-9 or levels[-1].log_snr > cleanest.log_snr + 1e-9:
        found.append("levels beyond the schedule's ends")
    network = pipe.backbone
    assert isinstance(network, OracleNetwork)
    start = pipe.schedule.prior_std(levels[0]) * normal((2, 1, 2, 2), seed=1)
    *_, drawn = Request(count=2, start_BCHW=start).plan(pipe).stream()
    *_, wanted = walked(DDIM(), start, (*levels, CLEAN), network.mixture.denoise, at=pipe.schedule.level)
    error = (drawn.following_BCHW - wanted.following_BCHW).abs().max().item()
    if not error < 1e-5:  # t in float32, as in test_product.py
        found.append(f"an image that is {error:.3g} off")
    return found
