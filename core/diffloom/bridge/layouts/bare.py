"""A network of pixels alone in its file, as OpenAI's checkpoints are, and what makes it a whole model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from diffloom.bridge.contract import AmbiguousError
from diffloom.bridge.layouts.canvas import Canvas
from diffloom.bridge.layouts.composition import compose
from diffloom.bridge.layouts.scheduler import Mathematics
from diffloom.bridge.model import ForeignModel
from diffloom.bridge.reading import Reading
from diffloom.bridge.sources.opened import Opened
from diffloom.config.plain import plain
from diffloom.errors import CheckpointError
from diffloom.process.schedules import BetaSchedule, LinearSchedule
from diffloom.process.signal_schedules import CosineSchedule

SCHEDULES: Mapping[str, BetaSchedule] = {
    "linear": LinearSchedule(),
    "cosine": CosineSchedule(),
    "linear:4000": LinearSchedule(steps=4000, beta_start=1e-4 / 4, beta_end=2e-2 / 4),
    "cosine:4000": CosineSchedule(steps=4000),
}
"""Those of guided-diffusion (1000 times) and improved-diffusion (4000); the linear one's ends shrink as T grows."""
PLAIN = 1000
"""So many times reach the network as they are; others, improved-diffusion may have scaled to that."""
STEPS = 250
"""How many of them the published samples were drawn with."""


def read_bare(opened: Opened, reading: Reading) -> ForeignModel:
    """The model of a bare U-Net of OpenAI's.

    Raises CheckpointError for any other network, and AmbiguousError for what the user must say.
    """
    place = opened.tensors.place
    network = reading.known("network", None, opened.tensors, averages=opened.averages, config=opened.config)
    if not network.bridge.format.startswith("openai"):
        raise CheckpointError(
            f"{place}: is a single network ({network.component.kind} {network.component.canonical}), and nothing says "
            "what else the model has; load it with diffloom.load_component, or name it in a configuration as `weights:`"
        )
    schedule = _schedule(reading, place)
    scale = _time_scale(schedule, reading, place)
    part = network.inferred.part.model_copy(update={"time_scale": scale})
    network = replace(network, inferred=replace(network.inferred, part=part))
    return compose(
        place=place,
        layout="checkpoint of OpenAI's diffusion programs",
        canvas=Canvas(network.inferred.shapes["space"].height, reading),
        backbone=network,
        space=None,
        conditions=None,
        mathematics=_mathematics(schedule, learns_variance=part.learn_variance),
        told=opened.told if scale == 1 else (*opened.told, f"times: multiplied with {scale:g}, as you say"),
    )


def _mathematics(schedule: BetaSchedule, *, learns_variance: bool) -> Mathematics:
    variance = "learned_range" if learns_variance else "fixed_large"  # Nichol & Dhariwal 2021, eq. 15
    sections: dict[str, Any] = {
        "schedule": plain(schedule),
        "prediction": "epsilon",
        "variance": variance,
        "sampling": {"sampler": "ddpm", "steps": STEPS, "spacing": "linspace", "clip": 1.0},
    }
    told = (
        f"schedule: {schedule.canonical}, {schedule.steps} times, as you say",
        f"sampling: as published; ddpm, {STEPS} steps, variance {variance}, prediction epsilon",
    )
    return Mathematics(sections, told)


def _schedule(reading: Reading, place: str) -> BetaSchedule:
    word = reading.assume.get("schedule")
    if word is None or word not in SCHEDULES:
        choices = {
            f"schedule={name}": f"{schedule.canonical}, {schedule.steps} times"
            for name, schedule in SCHEDULES.items()
        }
        raise AmbiguousError(place, "nothing says which schedule it was trained with", choices)
    return SCHEDULES[word]


def _time_scale(schedule: BetaSchedule, reading: Reading, place: str) -> float:
    """What the network's times are multiplied with: improved-diffusion shows its networks T times as 0 … 1000."""
    if schedule.steps == PLAIN:
        return 1.0
    answer = reading.assume.get("rescale_timesteps")
    if answer not in ("true", "false"):
        choices = {
            "rescale_timesteps=true": f"the network was shown them as 0 … {PLAIN}, improved-diffusion's default",
            "rescale_timesteps=false": f"the network was shown 0 … {schedule.steps - 1}",
        }
        raise AmbiguousError(
            place, f"nothing says how it was shown the schedule's {schedule.steps} times", choices
        )
    return PLAIN / schedule.steps if answer == "true" else 1.0
