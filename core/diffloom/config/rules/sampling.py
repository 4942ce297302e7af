"""Samples must be drawable as the file says."""

from __future__ import annotations

from collections.abc import Iterator

from diffloom.config.document import Document
from diffloom.errors import Problem
from diffloom.kinds import ScaledGuidance, TimeSpacing


def guidance_dropout(document: Document) -> Iterator[Problem]:
    """Guidance compares with the null condition, which a model knows only if training sometimes showed it."""
    guidance = document.sampling.guidance
    if guidance is None or guidance.neutral or not guidance.compares:
        return
    if not document.conditioners:
        yield Problem(
            "sampling.guidance",
            "guidance steers by a condition, and this model has none; "
            "add conditioners, or set sampling.guidance: null",
        )
    elif all(conditioner.dropout == 0 for conditioner in document.conditioners.values()):
        keys = ", ".join(f"conditioners.{key}.dropout" for key in document.conditioners)
        scaled = isinstance(guidance, ScaledGuidance)
        remedy = "set sampling.guidance.scale: 1" if scaled else "leave out the parts that do"
        yield Problem(
            "sampling.guidance",
            "a scale other than 1 compares with the null condition, which a model trained with dropout 0 "
            f"never saw; train with {keys} above 0 (0.1 is usual), or {remedy}",
        )


def levels(document: Document) -> Iterator[Problem]:
    """The spacing must have as many noise levels of this schedule as there are steps."""
    sampling, axis = document.sampling, document.schedule.axis
    if axis.count is not None and sampling.steps > axis.count:
        yield Problem(
            "sampling.steps",
            f"{sampling.steps} steps are more than the {axis.count} times of {document.schedule.canonical}; "
            f"set sampling.steps to {axis.count} or less, or lengthen the schedule",
        )
        return
    try:
        sampling.spacing.check(axis=axis, steps=sampling.steps)
    except ValueError as error:
        yield Problem("sampling.spacing", str(error))


def pure_start(document: Document) -> Iterator[Problem]:
    """A sampler that divides by the signal cannot start where none is left."""
    sampler = document.sampling.sampler
    if document.schedule.zero_snr and not sampler.starts_pure:
        yield Problem(
            "sampling.sampler",
            f"{sampler.canonical} cannot start where no signal is left, as {document.schedule.canonical} ends; "
            "take another sampler, such as ddim, or a schedule that keeps some signal",
        )


def sampler(document: Document) -> Iterator[Problem]:
    """A sampler may have more to ask of the schedule, of its times, and of the picture."""
    sampling, schedule = document.sampling, document.schedule
    times: tuple[float, ...] = ()
    if isinstance(sampling.spacing, TimeSpacing):
        try:
            times = sampling.spacing.times(axis=schedule.axis, steps=sampling.steps)
        except ValueError:
            return  # told by `levels`
    try:
        sampling.sampler.check(image=document.image.info, schedule=schedule, times=times)
    except ValueError as error:
        yield Problem("sampling.sampler", str(error))


def walk_end(document: Document) -> Iterator[Problem]:
    """A walk that ends at the first time needs a sampler that can stop there, and a noisier time to begin at."""
    sampling, axis = document.sampling, document.schedule.axis
    if sampling.end == "clean":
        return
    if not sampling.sampler.ends_early:
        yield Problem(
            "sampling.end",
            f"{sampling.sampler.canonical} always walks to the clean picture; set sampling.end: clean, or take a "
            "sampler that can stop before, such as ddim",
        )
    if not isinstance(sampling.spacing, TimeSpacing):
        return
    try:
        times = sampling.spacing.times(axis=axis, steps=sampling.steps)
    except ValueError:
        return  # told by `levels`
    if not any(time > axis.first for time in times):
        yield Problem(
            "sampling.end",
            "the walk would begin at the first time too, and have no step to take; set sampling.end: clean",
        )
