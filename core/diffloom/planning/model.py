"""A configuration's model and data as a plan looks at them: everything but the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from diffloom.assembly import assemble
from diffloom.bridge.empty import empty_weights
from diffloom.building import built
from diffloom.config import AnyDocument, AutoencoderDocument, Document
from diffloom.config.document import Sampling, Train
from diffloom.errors import DataError
from diffloom.kinds import Examples
from diffloom.pipeline import Pipeline
from diffloom.planning.hollow import Hollow
from diffloom.planning.stand_in import StandIn
from diffloom.process import keyed_generator
from diffloom.registry import Registry
from diffloom.training.diffusion import DiffusionTask
from diffloom.training.precision import autocast
from diffloom.training.preparation import prepare
from diffloom.training.previews import Previews
from diffloom.training.reconstruction import ReconstructionTask, assemble_autoencoder


@dataclass(frozen=True)
class Opened:
    """A configuration with its data, where they can be opened."""

    document: AnyDocument
    """Completed with what the data know."""
    examples: Examples
    """Those of the data, or one that stands for them."""
    count: int | None = None
    """How many examples an epoch has; None where nobody knows."""
    fault: str = ""
    """Why the data cannot be opened."""

    @classmethod
    def of(cls, document: AnyDocument) -> Opened:
        """Open the data, where there are any. Raises ConfigError for a configuration that they contradict."""
        if document.data is None or document.train is None:
            return cls(document, StandIn(document))
        try:
            prepared = prepare(document)
        except DataError as error:
            return cls(document, StandIn(document), fault=str(error))
        count = None if prepared.stream is not None else len(prepared.examples)
        return cls(prepared.document, prepared.examples, count)

    def conditions(self, keys: Sequence[str]) -> dict[str, Any]:
        """The raw conditions of one example. Raises DataError where there is none to be had."""
        example = self.examples.example(0, keyed_generator(0, 0, 0, "example"))
        return {key: example.conditions[key] for key in keys}


def is_offloaded(sampling: Sampling, device: torch.device) -> bool:
    """Whether parts are brought to the device in turn: on a CPU they are there already."""
    return sampling.offload and device.type != "cpu"


def hollow_pipeline(
    document: Document, hollow: Hollow, *, registry: Registry, offloaded: bool = False
) -> Pipeline:
    """The model without memory for its weights. A learned schedule, which is asked for its numbers, has some.

    `offloaded` parts are in the host's memory, and brought to the device in turn.
    """
    with empty_weights():
        pipeline = assemble(document, registry=registry)
    if isinstance(pipeline.schedule, nn.Module):
        schedule = document.schedule.build(space=document.space_info)
        assert isinstance(schedule, nn.Module), "it was one before"
        pipeline.schedule.load_state_dict(schedule.state_dict(), assign=True)
    for name, part in pipeline.module.items():
        if name != "schedule":
            hollow.fill(part, host=offloaded)
    return pipeline.work_on(hollow.device, offload=True) if offloaded else pipeline


def hollow_autoencoder(document: AutoencoderDocument, hollow: Hollow) -> nn.ModuleDict:
    """An autoencoder with its criteria, without memory for their weights."""
    with empty_weights():
        module = assemble_autoencoder(document, seed=0)
    hollow.fill(module)
    return module


def hollow_task(
    opened: Opened, train: Train, hollow: Hollow, *, registry: Registry
) -> DiffusionTask | ReconstructionTask:
    """What is trained, without memory for its weights. Raises ConfigError where its parts do not fit."""
    document, computed = opened.document, partial(autocast, train.precision, hollow.device)
    if isinstance(document, AutoencoderDocument):
        return ReconstructionTask(
            document=document,
            module=hollow_autoencoder(document, hollow),
            examples=opened.examples,
            seed=train.seed,
            autocast=computed,
        )
    pipeline = hollow_pipeline(document, hollow, registry=registry)
    with empty_weights():
        loss = built("objective", document.objective.build)
    if isinstance(loss, nn.Module):
        hollow.fill(loss)
    return DiffusionTask(pipeline, loss, Previews(pipeline, opened.examples, seed=train.seed), computed)
