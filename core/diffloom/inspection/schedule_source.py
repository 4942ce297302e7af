"""What a schedule command is given, a schedule's name or a model, as curves."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from diffloom import config
from diffloom.building import built
from diffloom.config.files import SHIPPED
from diffloom.config.part import part
from diffloom.config.plain import components
from diffloom.inspection.curves import Curves, curves_of
from diffloom.inspection.source import described, is_trained
from diffloom.kinds import NoiseSchedule, Schedule, SpaceInfo, Weighting
from diffloom.process import Process
from diffloom.registry import Registry

FILE_SUFFIXES = (".yaml", ".yml", ".safetensors")


def curves_from(
    text: str, *, registry: Registry, size: int | None = None, plugins: tuple[str, ...] = ()
) -> Curves:
    """The curves of `cosine`, of `{type: cosine, steps: 100}`, or of the schedule of a file, a checkpoint or a run.

    A model's come with the weights of its own loss; a learned schedule is what a run learned, and untrained elsewhere.
    `size` is the height and width of what is diffused, for a schedule by itself that depends on it.
    Raises ConfigError, CheckpointError or RunError.
    """
    if _names_model(text, registry):
        return _of_model(text, registry=registry, plugins=plugins)
    schedule = part("schedule", text, registry=registry)
    assert isinstance(schedule, Schedule)
    space = None if size is None else SpaceInfo(channels=1, height=size, width=size)
    return curves_of(built(text, schedule.build, space=space), name=text)


def _names_model(text: str, registry: Registry) -> bool:
    """A registered schedule's name means the schedule, even where a file is called so."""
    if any(text in (name, name.partition("/")[2]) for name in registry.names("schedule")):
        return False
    if text.startswith(SHIPPED) or Path(text).suffix in FILE_SUFFIXES:
        return True
    return text != "" and Path(text).exists()  # the empty path is the working folder


def _of_model(source: str, *, registry: Registry, plugins: tuple[str, ...]) -> Curves:
    document = config.require_diffusion(described(source, registry=registry).document, place=source)
    schedule: NoiseSchedule = built("schedule", document.schedule.build, space=document.space_info)
    if isinstance(schedule, nn.Module) and is_trained(source):
        from diffloom.api import load

        schedule = load(source, device="cpu", plugins=plugins).schedule
    process = Process(
        schedule=schedule,
        prediction=built("prediction", document.prediction.build, schedule=schedule),
        variance=built("variance", document.variance.build),
    )
    weightings = [part for part in components(document.objective) if isinstance(part, Weighting)]
    weigh = weightings[0].build() if weightings else None
    name = f"{document.schedule.name} of {source}"
    return curves_of(schedule, name=name, weigh=weigh, process=process)
