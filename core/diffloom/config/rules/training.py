"""A run must be able to reach what it asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from diffloom.config.autoencoder import AutoencoderDocument
from diffloom.config.choice import AnyDocument
from diffloom.config.document import Document
from diffloom.errors import Problem

AVERAGE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def warmup(document: AnyDocument) -> Iterator[Problem]:
    """A warm-up longer than the run never reaches the learning rate."""
    train = document.train
    if train is not None and train.lr_schedule.warmup_steps > train.steps:
        yield Problem(
            "train.lr_schedule.warmup_steps",
            f"the warm-up of {train.lr_schedule.warmup_steps} steps is longer than the run of {train.steps}, which "
            "would never reach train.lr; shorten it, or set train.steps higher",
        )


def lr_schedule(document: AnyDocument) -> Iterator[Problem]:
    """A schedule may not be made for a run of this length."""
    train = document.train
    if train is None:
        return
    try:
        train.lr_schedule.check(steps=train.steps)
    except ValueError as error:
        yield Problem("train.lr_schedule", str(error))


def sharded_optimizer(document: AnyDocument) -> Iterator[Problem]:
    """Some optimisers measure whole weights, or keep them in a form that cannot be divided."""
    train = document.train
    if train is not None and train.parallel == "sharded" and not train.optimizer.shardable:
        yield Problem(
            "train.optimizer",
            f"{train.optimizer.canonical} cannot work on shares of weights; set train.parallel: data, or take another "
            "optimiser, such as adamw",
        )


def average_names(document: AnyDocument) -> Iterator[Problem]:
    """The name of an average is a word of the command line, and stands beside `ema` and `raw`."""
    for name in document.train.further_ema if document.train is not None else ():
        if name in ("ema", "raw") or not AVERAGE_NAME.fullmatch(name):
            yield Problem(
                f"train.further_ema.{name}" if name else "train.further_ema",
                f"{name!r} cannot be an average's name: `ema` and `raw` are taken, and names are letters, digits, "
                "`_`, `-` and `.`; call it something else",
            )


def snapshots(document: AnyDocument) -> Iterator[Problem]:
    """Averages are made afterwards from two of different widths."""
    train = document.train
    if train is None or train.snapshot_every is None:
        return
    exponents = {average.exponent for average in (train.ema, *train.further_ema.values())} - {None}
    if len(exponents) < 2:
        yield Problem(
            "train.snapshot_every",
            "snapshots are for `diffloom ema reconstruct`, which needs two averages of type `power` with different "
            "widths; set train.ema: {type: power, sigma_rel: 0.05} and train.further_ema: {wide: {type: power, "
            "sigma_rel: 0.1}}, or remove this key",
        )


def criterion_starts(document: AutoencoderDocument) -> Iterator[Problem]:
    """A criterion that begins after the last step never counts."""
    steps = document.train.steps if document.train is not None else None
    for index, criterion in enumerate(document.autoencoder.criteria):
        if steps is not None and criterion.start_step > steps:
            yield Problem(
                f"autoencoder.criteria[{index}].start_step",
                f"{criterion.canonical} would begin at step {criterion.start_step} of a run of {steps}, and never "
                "count; set it lower, set train.steps higher, or remove the criterion",
            )


def criterion_order(document: AutoencoderDocument) -> Iterator[Problem]:
    """A criterion that weighs itself against those before it needs one that has begun."""
    criteria = document.autoencoder.criteria
    for index, criterion in enumerate(criteria):
        begun = any(earlier.start_step <= criterion.start_step for earlier in criteria[:index])
        if criterion.relative and not begun:
            yield Problem(
                f"autoencoder.criteria[{index}]",
                f"{criterion.canonical} weighs itself against the criteria before it, and none of them counts at its "
                f"start_step {criterion.start_step}; put one before it, such as lp",
            )


def self_conditioning(document: Document) -> Iterator[Problem]:
    """An estimate of x₀ on the network's input means nothing to a network that was not trained with it."""
    takes, trains = document.backbone.self_conditioning, document.objective.self_conditioning
    if takes and not trains:
        yield Problem(
            "backbone.self_conditioning",
            f"{document.objective.canonical} as configured never shows the network an estimate of x₀; "
            "set objective.self_conditioning: true, or this to false",
        )
    if trains and not takes:
        yield Problem(
            "objective.self_conditioning",
            "this backbone does not take an estimate of x₀; set backbone.self_conditioning: true, or this to false",
        )


def objective(document: Document) -> Iterator[Problem]:
    """A run needs an objective that can train its parts; samples need none."""
    if document.train is None:
        return
    try:
        document.objective.check(schedule=document.schedule, variance=document.variance, space=document.space)
    except ValueError as error:
        yield Problem("objective", str(error))
