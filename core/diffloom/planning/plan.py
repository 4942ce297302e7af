"""A configuration → what it will take, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TypeVar, cast

import torch
from torch import nn

from diffloom.condition import Condition
from diffloom.config import AnyDocument, AutoencoderDocument
from diffloom.config.choice import require_diffusion
from diffloom.config.document import Sampling, Train
from diffloom.device import usable_device
from diffloom.errors import DataError
from diffloom.kinds import TrainableCodec
from diffloom.pipeline import Pipeline
from diffloom.planning.changes import changes_of_sampling, changes_of_training
from diffloom.planning.disk import disk
from diffloom.planning.figures import PartSize, Plan, SamplingPlan, TrainingPlan
from diffloom.planning.hollow import Hollow
from diffloom.planning.live_bytes import LiveBytes
from diffloom.planning.model import Opened, hollow_autoencoder, hollow_pipeline, hollow_task, is_offloaded
from diffloom.planning.network import Network, observed
from diffloom.planning.rehearsal import Rehearsal, tensors_of
from diffloom.planning.walk import Walked, walked
from diffloom.process import Draws
from diffloom.registry import Registry
from diffloom.training.diffusion import DiffusionTask
from diffloom.training.precision import HALVES
from diffloom.training.settling import as_measured
from diffloom.training.split import Split

T = TypeVar("T")


def plan(
    document: AnyDocument, *, count: int, registry: Registry, device: torch.device | str | None = None
) -> Plan:
    """Plan the training of a configuration, and the drawing of `count` samples at once, on `device` (CUDA if any).

    Nothing is trained, and no weight has memory: `diffloom.planning.rehearsal` says how. Raises DiffloomError as
    training would, but for data that cannot be opened: what depends on them is then told as unknown.
    """
    opened = Opened.of(document)
    try:
        return _Planning(opened, count, registry, Hollow(usable_device(device))).plan()
    except ValueError as error:
        if not opened.fault:
            raise
        raise DataError(opened.fault) from error  # parts that learn from the data are nothing without


@dataclass
class _Planning:
    """Makes one plan."""

    opened: Opened
    count: int
    registry: Registry
    hollow: Hollow
    unknown: list[str] = field(default_factory=list)

    def plan(self) -> Plan:
        document, train = self.opened.document, self.opened.document.train
        if self.opened.fault:
            self.unknown.append(self.opened.fault)
        if isinstance(document, AutoencoderDocument):
            module = hollow_autoencoder(document, self.hollow)
            network = self._autoencoder(module, document)
            sampling = None
        else:
            pipeline = hollow_pipeline(document, self.hollow, registry=self.registry)
            module, network = pipeline.module, self._backbone(pipeline)
            sampling = self._foreseen("sampling", lambda: self._sampling(pipeline))
        training = self._foreseen("training", lambda: self._training(train, network)) if train else None
        return Plan(
            device=str(self.hollow.device),
            parts=part_sizes(module, frozen=() if sampling is None else ("space",)),
            network=network,
            training=training,
            sampling=sampling,
            unknown=tuple(self.unknown),
        )

    def _foreseen(self, what: str, compute: Callable[[], T]) -> T | None:
        """What is computed; None, and a line about it, where that needs numbers or examples that are not there."""
        try:
            return compute()
        except (
            RuntimeError,
            DataError,
        ) as error:  # torch's refusals to compute without numbers are RuntimeErrors
            self.unknown.append(f"what {what} takes: {str(error).splitlines()[0]}")
            return None

    def _training(self, train: Train, network: Network) -> TrainingPlan:
        asked, train = train, as_measured(train, self.opened.document, self.hollow.device)
        task = hollow_task(self.opened, train, self.hollow, registry=self.registry)
        rehearsal = Rehearsal(task, train, self.hollow, self.opened.conditions(task.conditions))
        planned = rehearsal.run(checkpointing=train.gradient_checkpointing)
        otherwise = rehearsal.run(checkpointing=not train.gradient_checkpointing)
        previewed = 0
        if isinstance(task, DiffusionTask) and train.sample_every:
            conditions = self.opened.conditions(task.conditions)
            drawn = walked(
                task.pipeline, count=task.previews.count, conditions=conditions, live=rehearsal.live
            )
            previewed = sum(drawn.memory.values())
        passes = len(Split(batch_size=train.batch_size, micro_batch_size=train.micro_batch_size).passes)
        return TrainingPlan(
            steps=train.steps,
            batch_size=train.batch_size,
            examples=self.opened.count,
            passes=passes,
            network_calls=planned.calls_of_a_pass * passes,
            flops=network.flops * (4 if train.gradient_checkpointing else 3),
            memory=planned.memory,
            memory_otherwise=sum(otherwise.memory.values()),
            memory_of_previews=previewed,
            disk=disk(train, planned.checkpoint),
            precision=train.precision,
            changes=changes_of_training(asked, train.precision),
        )

    def _sampling(self, pipeline: Pipeline) -> SamplingPlan:
        sampling, device = pipeline.document.sampling, self.hollow.device
        drawn = self._drawn(sampling)
        left_out: dict[str, dict[str, object]] = {}
        if drawn.precision in HALVES:
            left_out["in fp32"] = {"precision": "fp32"}
        if sampling.caching is not None:
            left_out["without caching"] = {"caching": None}
        if is_offloaded(sampling, device):
            left_out["without offload"] = {"offload": False}
        return SamplingPlan(
            count=self.count,
            calls=sampling.sampler.calls(sampling.steps),
            views=drawn.views,
            memory=drawn.memory,
            precision=drawn.precision,
            changes=changes_of_sampling(sampling, drawn.precision, device),
            memory_otherwise={
                said: sum(self._drawn(sampling.model_copy(update=update)).memory.values())
                for said, update in left_out.items()
            },
        )

    def _drawn(self, sampling: Sampling) -> Walked:
        """What drawing takes by this section."""
        document = require_diffusion(self.opened.document, place="").model_copy(update={"sampling": sampling})
        offloaded = is_offloaded(sampling, self.hollow.device)
        pipeline = hollow_pipeline(document, self.hollow, registry=self.registry, offloaded=offloaded)
        live = LiveBytes(self.hollow.device)
        live.name("weights", tensors_of(pipeline.module))
        conditions = self.opened.conditions(tuple(document.conditioners))
        return walked(pipeline, count=self.count, conditions=conditions, live=live)

    def _backbone(self, pipeline: Pipeline) -> Network:
        backbone = pipeline.document.backbone
        channels, height, width = pipeline.document.space_info.shape
        x_BCHW = self.hollow.tensor((1, channels * (2 if backbone.self_conditioning else 1), height, width))
        t_B = torch.full((1,), float(pipeline.schedule.axis.first), device=self.hollow.device)
        with torch.no_grad():
            nulls = [pipeline.conditioners[name].null(1) for name in pipeline.conditioners]
        condition = Condition.join(nulls)
        return observed(pipeline.backbone, lambda: pipeline.network(x_BCHW, t_B, condition))

    def _autoencoder(self, module: nn.ModuleDict, document: AutoencoderDocument) -> Network:
        codec = cast(TrainableCodec, module["space"])
        image_BCHW = self.hollow.tensor((1, *document.image.info.shape))
        return observed(module["space"], lambda: codec.reconstruct(image_BCHW, draws=Draws.of(0, [0])))


def part_sizes(module: nn.ModuleDict, *, frozen: Collection[str]) -> dict[str, PartSize]:
    """The weights of a model's parts, its conditioners one by one; parts without weights are left out."""
    sizes = {}
    for name, part in module.items():
        inner = dict(part.named_children()) if name == "conditioners" else {"": part}
        for key, one in inner.items():
            weights = list(one.parameters())
            total = sum(weight.numel() for weight in weights)
            trained = 0 if name in frozen else sum(w.numel() for w in weights if w.requires_grad)
            if total:
                sizes[key or name] = PartSize(trained=trained, frozen=total - trained)
    return sizes
