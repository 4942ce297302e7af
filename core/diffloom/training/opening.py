"""A run's parts before its first step: what is trained, what it is trained from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from diffloom.assembly import assemble
from diffloom.checkpoint import Checkpoint
from diffloom.config import AutoencoderDocument, Document
from diffloom.errors import ConfigError, Problem
from diffloom.inference.compute import gains_by_layout
from diffloom.initial import fill_from_files
from diffloom.kinds import Examples
from diffloom.latents.cache import open_cache
from diffloom.latents.unit_scale import EXAMPLES, require_unit_scale
from diffloom.plugins import Plugins
from diffloom.process import Draws
from diffloom.training.defaults import with_defaults
from diffloom.training.diffusion import DiffusionTask, built_loss
from diffloom.training.engine import Engine
from diffloom.training.feed import Feed
from diffloom.training.precision import HALVES
from diffloom.training.preparation import Prepared
from diffloom.training.previews import Previews
from diffloom.training.reconstruction import ReconstructionTask, assemble_autoencoder
from diffloom.training.saving import FEED
from diffloom.training.split import Split
from diffloom.training.stream_feed import StreamFeed
from diffloom.training.stream_order import Mark
from diffloom.training.task import Task


@dataclass(frozen=True)
class Opening:
    """Builds the parts of one run for one process."""

    prepared: Prepared
    plugins: Plugins
    engine: Engine

    def task(self, *, filled: bool) -> Task:
        """What is trained, with fresh weights; `filled` with those that the configuration names files for."""
        document, examples, seed = self.prepared.document, self.prepared.examples, self.prepared.train.seed
        if isinstance(document, AutoencoderDocument):
            if self.prepared.train.precision == "fp16":
                raise ConfigError(
                    [
                        Problem(
                            "train.precision",
                            "criteria weigh gradients that are too small for fp16; take bf16 for an autoencoder",
                        )
                    ]
                )
            module = assemble_autoencoder(document, seed=seed)
            self._fill(module, filled)
            return ReconstructionTask(
                document=document,
                module=module.to(self.engine.device),
                examples=examples,
                seed=seed,
                autocast=self.engine.autocast,
                channels_last=self._gains_by_layout(module),
            )
        pipeline = assemble(document, seed=seed, registry=self.plugins.registry)
        self._fill(pipeline.module, filled)
        pipeline.to(self.engine.device)
        return DiffusionTask(
            pipeline,
            built_loss(pipeline, seed=seed),
            Previews(pipeline, examples, seed=seed),
            self.engine.autocast,
            channels_last=self._gains_by_layout(pipeline.backbone),
        )

    def _gains_by_layout(self, network: nn.Module) -> bool:
        precision = self.prepared.train.precision
        dtype = HALVES.get(precision, torch.float32)
        return gains_by_layout(network, self.engine.device, dtype, precision)

    def _fill(self, module: nn.ModuleDict, filled: bool) -> None:
        if filled:
            fill_from_files(self.prepared.document, module, registry=self.plugins.registry)

    def feed(self, task: Task, checkpoint: Checkpoint | None) -> Feed | StreamFeed:
        """The stream, entered where a checkpoint says; or the examples, or in their place those of a cache, held
        against the task's own encoder."""
        document, train = self.prepared.document, self.prepared.train
        if self.prepared.stream is not None:
            return StreamFeed(
                stream=self.prepared.stream,
                keys=task.conditions,
                shape=document.image.info.shape,
                seed=train.seed,
                split=self.engine.split,
                workers=train.workers,
                pinned=task.device.type == "cuda",
                began=Mark() if checkpoint is None else Mark.of(checkpoint.group(FEED)),
            )
        examples: Examples = self.prepared.examples
        shape: tuple[int, ...] = document.image.info.shape
        if isinstance(document, Document) and document.latents is not None:
            cached = open_cache(Path(document.latents), document, task.module["space"], examples)
            examples, shape = with_defaults(cached, document), cached.shape
        return Feed(
            examples=examples,
            keys=task.conditions,
            shape=shape,
            buckets=self.prepared.buckets,
            seed=train.seed,
            split=self.engine.split,
            workers=train.workers,
            pinned=task.device.type == "cuda",
        )

    def unit_scale(self, task: Task, feed: Feed | StreamFeed) -> float | None:
        """The standard deviation of the latents; None where nothing is encoded.

        Raises ConfigError for latents that no noise schedule is made for.
        """
        if not isinstance(task, DiffusionTask) or task.pipeline.document.space.lossless:
            return None
        near = replace(
            feed,
            workers=0,
            pinned=False,
            split=Split(batch_size=min(EXAMPLES, self.prepared.train.batch_size)),
        )
        steps = -(-EXAMPLES // near.split.batch_size)
        batches = near.batches(first_step=0, last_step=steps)
        x0 = (task.x0(batch, Draws.of(feed.seed, batch.positions)) for batch in batches)
        return require_unit_scale(x0, channels=task.pipeline.document.space_info.channels)
