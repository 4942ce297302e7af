"""Training a diffusion model: the backbone and the conditioners learn, and what the objective learns itself; the space
stays as it is.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

from diffloom.building import built
from diffloom.kinds import ImageInfo, LatentSpace, Loss, TimeAxis
from diffloom.nn import key_dropout
from diffloom.pipeline import Pipeline
from diffloom.process import Draws, Step, keyed_generator
from diffloom.training.encoding import encoded, unpacked
from diffloom.training.feed import Batch
from diffloom.training.previews import Previews
from diffloom.training.task import Losses


@dataclass(frozen=True)
class DiffusionTask:
    """A pipeline under training."""

    pipeline: Pipeline
    loss: Loss
    """What the objective built."""
    previews: Previews
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    """Entered around each call of the network and of the conditioners; the rest is in float32."""
    channels_last: bool = False
    """Whether pictures enter the network pixel by pixel. What its layers give then lies so too; weights stay as they
    are, and with them optimisers, averages and checkpoints."""

    @property
    def module(self) -> nn.ModuleDict:
        return self.pipeline.module

    @property
    def beside(self) -> nn.ModuleDict:
        return nn.ModuleDict({"objective": self.loss} if isinstance(self.loss, nn.Module) else {})

    @property
    def frozen(self) -> frozenset[str]:
        return frozenset({"space"})

    @property
    def device(self) -> torch.device:
        return self.pipeline.device

    @property
    def conditions(self) -> tuple[str, ...]:
        return tuple(self.pipeline.document.conditioners)

    @property
    def axis(self) -> TimeAxis:
        return self.pipeline.schedule.axis

    def losses(self, batch: Batch, draws: Draws, *, step: int) -> Losses:
        """The objective's loss on the batch in the model's space."""
        pipeline = self.pipeline
        for module in (self.module, self.beside):
            key_dropout(module, draws)
        x0_BCHW = self.x0(batch, draws)
        with self.autocast():
            condition = pipeline.training_condition(batch.raw, draws)

        times: list[Tensor] = []
        layout = torch.channels_last if self.channels_last else torch.preserve_format

        def network(x_t_BCHW: Tensor, t_B: Tensor) -> Tensor:
            times.append(t_B)
            with self.autocast():
                output = pipeline.network(x_t_BCHW.to(memory_format=layout), t_B, condition)
            return output.to(x_t_BCHW.dtype)

        each_B = self.loss(network, x0_BCHW, process=pipeline.process, draws=draws)
        return Losses(each_B, t_B=times[-1].detach())

    def observe(self, draws: Draws, each_B: Tensor) -> None:
        """Tell the objective, where it learns of past losses."""
        learn = getattr(self.loss, "observe", None)
        if learn is not None:
            learn(draws, each_B, process=self.pipeline.process)

    def x0(self, batch: Batch, draws: Draws) -> Tensor:
        """What is diffused of a batch."""
        document, codec = self.pipeline.document, self.pipeline.space
        given = batch.images_BCHW.to(self.device, non_blocking=True)
        if document.latents is None:
            height, width = given.shape[2:]  # of its bucket, where there are some
            image = ImageInfo(height=height, width=width, channels=document.image.channels)
            return encoded(codec, given, draws, shape=document.space.info(image).shape)
        assert isinstance(document.space, LatentSpace), "lint"
        return unpacked(document.space, codec, given, draws, shape=document.space_info.shape)

    def preview(self, on_step: Callable[[Step], None]) -> tuple[Image, dict[str, Any]]:
        """Samples."""
        return self.previews.draw(on_step)


def built_loss(pipeline: Pipeline, *, seed: int) -> Loss:
    """What the objective of a pipeline builds, on its device; equal seeds give equal weights."""
    initial = keyed_generator(seed, 0, 0, "objective's weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(initial.integers(2**63)))
        loss = built("objective", pipeline.document.objective.build)
    return loss.to(pipeline.device) if isinstance(loss, nn.Module) else loss
