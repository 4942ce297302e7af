"""A training step without its numbers: what it takes of memory. Legend: B batch, C channels, H height, W width.

The step is the run's own: the task's loss, torch's backward pass, the configured optimiser, the averages, on weights
that have shape and no memory (`Hollow`), while every tensor that there would be is counted (`LiveBytes`). Two steps are
rehearsed, as the optimiser remembers nothing before the first, both as the run's last, when all criteria judge; and of
each at most two passes, as a third adds nothing to the gradients of the second.

What this does not see: what an operation needs inside for a moment (a library's workspace), the allocator's rounding,
and what Python and torch themselves take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from diffloom.config.document import Train
from diffloom.kinds import PosteriorCodec
from diffloom.nn import blocks
from diffloom.planning.hollow import Answers, Hollow
from diffloom.planning.live_bytes import LiveBytes
from diffloom.process import Draws
from diffloom.training.batch import Batch
from diffloom.training.diffusion import DiffusionTask
from diffloom.training.reconstruction import ReconstructionTask
from diffloom.training.split import Split
from diffloom.training.state import TrainState

PASSES = 2
"""Of a step, at most."""
PREFETCHED = 2
"""Batches that each worker has ready: torch's `DataLoader`."""


@dataclass(frozen=True)
class Rehearsed:
    """What training takes."""

    memory: Mapping[str, int]
    """Bytes on the device at the worst moment, by what they are for."""
    calls_of_a_pass: int
    """Of the network."""
    checkpoint: Mapping[str, int]
    """Bytes of a checkpoint, by its groups."""


class Rehearsal:
    """Takes the steps of a hollow task; `conditions` are the raw ones of one example, which all have."""

    def __init__(
        self,
        task: DiffusionTask | ReconstructionTask,
        train: Train,
        hollow: Hollow,
        conditions: Mapping[str, Any],
    ) -> None:
        self.task, self.train, self.hollow, self.conditions = task, train, hollow, conditions
        self.live = LiveBytes(hollow.device)
        """What there is, also between the steps."""
        # A scaler of losses decides by numbers; the halves of bf16 are as large, and it scales nothing.
        scaled = {"precision": "bf16"} if train.precision == "fp16" else {}
        self.state = TrainState(task, train.model_copy(update=scaled))
        self._calls = 0
        self._waiting: list[Tensor] = []

    def run(self, *, checkpointing: bool) -> Rehearsed:
        """Rehearse the steps, with or without gradient checkpointing."""
        state, live = self.state, self.live
        for block in blocks(self.task.module).values():
            block.recomputed = checkpointing
        live.name("weights", [*tensors_of(self.task.module), *tensors_of(self.task.beside)])
        for average in state.averages.values():
            with average.applied():
                live.name("averages", (weight.detach() for weight in state.parameters.values()))
        handles: list[RemovableHandle] = [
            weight.register_post_accumulate_grad_hook(self._name_gradient)  # type: ignore[no-untyped-call]
            for weight in state.parameters.values()
        ]
        if isinstance(self.task, DiffusionTask):
            handles.append(self.task.pipeline.backbone.register_forward_pre_hook(self._count))
        state.train_mode()
        try:
            with self.hollow.masks(self.task.module), Answers(), live:
                if not state.optimizer.state:
                    self._step()
                live.begin_anew()
                self._step()
        finally:
            for handle in handles:
                handle.remove()
        sizes = {
            group: sum(tensor.nbytes for tensor in tensors.values())
            for group, tensors in state.groups().items()
        }
        return Rehearsed(dict(live.peak), self._calls, sizes)

    def _step(self) -> None:
        """One optimiser step, as `OptimizerStep` takes it."""
        state, train, step = self.state, self.train, self.train.steps
        passes = self._passes()
        state.optimizer.zero_grad(set_to_none=True)
        for batch in passes:
            self._calls = 0 if isinstance(self.task, DiffusionTask) else 1
            with torch.enable_grad():
                losses = self.task.losses(batch, Draws.of(train.seed, batch.positions), step=step)
            (losses.each_B.sum() / train.batch_size).backward()  # type: ignore[no-untyped-call]
            del losses
        parameters = list(state.parameters.values())
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if train.grad_clip is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, train.grad_clip, norm)
        state.optimizer.step()
        for average in state.averages.values():
            average.update(step)
        self.live.name("optimizer", (t for slots in state.optimizer.state.values() for t in _leaves(slots)))

    def _passes(self) -> list[Batch]:
        """A step's batches; beside them lies, on the same device, what the workers have read ahead."""
        train = self.train
        split = Split(batch_size=train.batch_size, micro_batch_size=train.micro_batch_size)
        sizes = sorted((len(places) for places in split.passes), reverse=True)
        shape = self._example_shape()
        waiting = [*sizes[PASSES:], *sizes[:1] * (PREFETCHED * train.workers)]
        self._waiting = [self.hollow.tensor((size, *shape), host=True) for size in waiting]
        batches = [
            Batch(
                tuple(range(size)),
                self.hollow.tensor((size, *shape), host=True),
                {key: [self.conditions[key]] * size for key in self.task.conditions},
            )
            for size in sizes[:PASSES]
        ]
        self.live.name("data", [*self._waiting, *(batch.images_BCHW for batch in batches)])
        return batches

    def _example_shape(self) -> tuple[int, ...]:
        """Of a picture, or of a row of a cache of latents."""
        if isinstance(self.task, ReconstructionTask):
            return self.task.document.image.info.shape
        document, codec = self.task.pipeline.document, self.task.pipeline.space
        if document.latents is None:
            return document.image.info.shape
        image_BCHW = self.hollow.tensor((1, *document.image.info.shape))
        with torch.no_grad():
            encode = codec.posterior if isinstance(codec, PosteriorCodec) else codec.encode
            return tuple(encode(image_BCHW).shape[1:])

    def _name_gradient(self, weight: Tensor) -> None:
        assert weight.grad is not None
        self.live.name("gradients", [weight.grad])

    def _count(self, network: nn.Module, args: tuple[Any, ...]) -> None:
        self._calls += 1


def tensors_of(module: nn.Module) -> list[Tensor]:
    """Its weights and buffers."""
    return [*module.parameters(), *module.buffers()]


def _leaves(slots: Mapping[str, Any]) -> list[Tensor]:
    return [value for value in slots.values() if isinstance(value, Tensor)]
