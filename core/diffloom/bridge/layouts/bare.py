"""A network of pixels alone in its file, as OpenAI's checkpoints are, and what makes it a whole model."""

from __future__ import annotations

from collections.abc import Mapping
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
from diffloom.kinds import Schedule
from diffloom.process.schedules import CosineSchedule, LinearSchedule

SCHEDULES: Mapping[str, Schedule] = {
    "linear": LinearSchedule(),
    "cosine": CosineSchedule(),
    "linear:4000": LinearSchedule(steps=4000, beta_start=1e-4 / 4, beta_end=2e-2 / 4),
    "cosine:4000": CosineSchedule(steps=4000),
}
"""Those of guided-diffusion (1000 times) and improved-diffusion (4000); the linear one's ends shrink as T grows."""
PLAIN = 1000
"""So many times reach the network as they are; of others, improved-diffusion makes 0 … 999 unless told otherwise."""
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
    return compose(
        place=place,
        layout="checkpoint of OpenAI's diffusion programs",
        canvas=Canvas(network.inferred.shapes["space"].height, reading),
        backbone=network,
        space=None,
        conditions=None,
        mathematics=_mathematics(network.inferred.part.learn_variance, reading, place),
        told=opened.told,
    )


def _mathematics(learns_variance: bool, reading: Reading, place: str) -> Mathematics:
    schedule = _schedule(reading, place)
    variance = "learned_range" if learns_variance else "fixed_large"  # Nichol & Dhariwal 2021, eq. 15
    sections: dict[str, Any] = {
        "schedule": plain(schedule),
        "prediction": "epsilon",
        "variance": variance,
        "sampling": {"sampler": "ddpm", "steps": STEPS, "spacing": "linspace", "clip": 1.0},
    }
    told = (
        f"schedule: {schedule.canonical}, {schedule.length} times, as you say",
        f"sampling: as published; ddpm, {STEPS} steps, variance {variance}, prediction epsilon",
    )
    return Mathematics(sections, told)


def _schedule(reading: Reading, place: str) -> Schedule:
    word = reading.assume.get("schedule")
    if word is None or word not in SCHEDULES:
        choices = {
            f"schedule={name}": f"{schedule.canonical}, {schedule.length} times"
            for name, schedule in SCHEDULES.items()
        }
        raise AmbiguousError(place, "nothing says which schedule it was trained with", choices)
    schedule = SCHEDULES[word]
    if schedule.length != PLAIN and reading.assume.get("rescale_timesteps") != "false":
        raise AmbiguousError(
            place,
            f"improved-diffusion's networks are given {schedule.length} times as 0 … {PLAIN - 1}, in fractions, unless "
            "they were trained with --rescale_timesteps False; a model here gives them as they are, and can be made "
            "of these only (diffloom.load_component loads the bare network of the others)",
            {"rescale_timesteps=false": f"the network knows times 0 … {schedule.length - 1}"},
        )
    return schedule
