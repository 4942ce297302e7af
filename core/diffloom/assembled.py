"""Assembled parts: one model, each of its parts within reach. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, cast

import torch
from torch import Tensor, nn

from diffloom.building import built
from diffloom.condition import Condition
from diffloom.conditioning import Conditioning, Raw
from diffloom.config.document import Document, Sampling
from diffloom.inference import Compute, ReadyNetwork, ReadyNetworks
from diffloom.inference.compute import own_type
from diffloom.kinds import Codec, Conversion, Encoder, NoiseSchedule, Walk
from diffloom.plugins import load_registry
from diffloom.process import CLEAN, Draws, Level, Process
from diffloom.registry import Registry


@dataclass
class Assembled:
    """One model: its configuration, its weights, its mathematics.

    Parts can be reached one by one; `module` holds everything that has weights.
    """

    document: Document
    """The validated configuration."""
    module: nn.ModuleDict
    """`space`, `conditioners` and `backbone`."""
    process: Process
    """Schedule, prediction and variance."""
    registry: Registry = field(default_factory=load_registry, repr=False)
    """Where `sampler="ddim"` is looked up."""
    weights_digest: str | None = None
    """Digest of the checkpoint's weights; None for weights that were never saved."""
    _ready: ReadyNetworks = field(default_factory=ReadyNetworks, repr=False, compare=False)

    @property
    def backbone(self) -> nn.Module:
        """The denoising network."""
        return self.module["backbone"]

    @property
    def space(self) -> Codec:
        """Encodes pictures to what is diffused, and decodes them."""
        return cast(Codec, self.module["space"])

    @property
    def conditioners(self) -> Mapping[str, Encoder]:
        """The encoders of the conditions, by name."""
        return cast(Mapping[str, Encoder], self.module["conditioners"])

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule."""
        return self.process.schedule

    @property
    def prediction(self) -> Conversion:
        """What the network's output means."""
        return self.process.prediction

    @property
    def sampler(self) -> Walk:
        """The sampler that `sample` uses unless told otherwise."""
        return self.document.sampling.sampler.build()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    @property
    def conditioning(self) -> Conditioning:
        """The conditioners together."""
        return Conditioning(self.document.conditioners, self.conditioners, self.document.setting)

    def to(self, device: torch.device | str) -> Self:
        """Move the weights; returns the model itself."""
        self._ready.forget()
        self.module.to(device)
        return self

    def condition(self, raw: Raw) -> Condition:
        """The encoded condition of a batch."""
        return self.conditioning.encode(raw, device=self.device)

    def training_condition(self, raw: Raw, draws: Draws) -> Condition:
        """The encoded condition of a training batch, with condition dropout."""
        return self.conditioning.encode_for_training(raw, draws, device=self.device)

    @property
    def network(self) -> ReadyNetwork:
        """The network as it is, in its own weights and type: what is trained and judged."""
        return ReadyNetwork(self.backbone, Compute(dtype=own_type(self.backbone)))

    def ready(self, sampling: Sampling) -> ReadyNetwork:
        """The network as it draws samples here. Its copy stays until weights change, it is moved, or `forget_ready`."""
        return self._ready.of(self.backbone, precision=sampling.precision)

    def forget_ready(self) -> None:
        """Give free what copies of the weights, made ready to draw samples, take; the next sample makes them again."""
        self._ready.forget()

    @torch.no_grad()
    def encode(self, images_BCHW: Tensor) -> Tensor:
        """Points of the space, float32, from pictures in [-1, 1]."""
        return self.space.encode(images_BCHW.to(self.device, _dtype(self.module["space"]))).float()

    @torch.no_grad()
    def decode(self, x_BCHW: Tensor) -> Tensor:
        """Pictures in [-1, 1], float32, from points of the space."""
        return self.space.decode(x_BCHW.to(_dtype(self.module["space"]))).float().clamp(-1, 1)

    def levels(self, sampling: Sampling) -> tuple[Level, ...]:
        """The noise levels a sampling section visits, its end last: clean, or the first time.

        A grid that visits the first time before it ends there takes one step less: that step would change nothing.
        Raises ConfigError for a spacing of noise levels that this schedule does not reach.
        """
        levels = built(
            "sampling.spacing", sampling.spacing.levels, schedule=self.schedule, steps=sampling.steps
        )
        if sampling.end == "clean":
            return (*levels, CLEAN)
        (end, _) = self.schedule.levels([self.schedule.axis.first])
        return (*(level for level in levels if level.sigma > end.sigma), end)


def _dtype(module: nn.Module) -> torch.dtype:
    """The type of a module's weights; float32 for those without."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
