"""Assembled parts: one model, each of its parts within reach. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn

from diffloom.building import built
from diffloom.condition import Condition
from diffloom.conditioning import Conditioning, Raw
from diffloom.config.document import Document, Sampling
from diffloom.errors import DiffloomError
from diffloom.inference import Compute, ReadyNetwork, ReadyNetworks, settled
from diffloom.inference.compute import own_device, own_type
from diffloom.inference.products import products
from diffloom.inference.visit import visiting
from diffloom.kinds import Codec, Conversion, Encoder, NoiseSchedule, Walk
from diffloom.plugins import load_registry
from diffloom.process import CLEAN, Draws, Level, Process
from diffloom.registry import Registry

logger = logging.getLogger("diffloom")


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
    _ready_space: ReadyNetworks = field(default_factory=ReadyNetworks, repr=False, compare=False)
    _visited: torch.device | None = field(default=None, repr=False, compare=False)
    """Where parts go to work, one at a time; None where the weights are where they work."""

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
        """Where the work is done: where the weights are, or are brought to."""
        return self._visited or own_device(self.module)

    @property
    def conditioning(self) -> Conditioning:
        """The conditioners together."""
        return Conditioning(self.document.conditioners, self.conditioners, self.document.setting)

    def to(self, device: torch.device | str) -> Self:
        """Move the weights; returns the model itself."""
        self.forget_ready()
        self._visited = None
        self.module.to(device)
        return self

    def work_on(self, device: torch.device | str, *, offload: bool | None = None) -> Self:
        """Draw samples on a device: the weights are moved there, or with `offload` brought there in turn.

        `offload` is what `sampling.offload` says unless told otherwise.
        """
        device = torch.device(device)
        if not (self.document.sampling.offload if offload is None else offload):
            return self.to(device)
        self.to("cpu")
        if device.type == "cpu":
            logger.info("offload: the weights are in the CPU's own memory already, so nothing is moved")
        else:
            self._visited = device
        return self

    def condition(self, raw: Raw) -> Condition:
        """The encoded condition of a batch."""
        return self.conditioning.encode(raw, device=self.device)

    def training_condition(self, raw: Raw, draws: Draws) -> Condition:
        """The encoded condition of a training batch, with condition dropout."""
        return self.conditioning.encode_for_training(raw, draws, device=self.device)

    @property
    def network(self) -> ReadyNetwork:
        """The network as it is, in its own weights and type: what is trained and judged.

        Raises DiffloomError for one that is brought to a device for samples alone.
        """
        if self._visited is not None:
            raise DiffloomError(
                f"sampling.offload: the network comes to {self._visited} to draw samples; for anything else move the "
                f"whole model there, with pipeline.to({str(self._visited)!r})"
            )
        return ReadyNetwork(self.backbone, Compute(dtype=own_type(self.backbone)))

    def ready(self, sampling: Sampling) -> ReadyNetwork:
        """The network as it draws samples here. Its copy stays until weights change, it is moved, or `forget_ready`."""
        return self._ready.of(
            self.backbone,
            precision=sampling.precision,
            device=self._visited,
            compiles=sampling.compile,
            remembers=sampling.caching is not None,
        )

    def ready_space(self) -> ReadyNetwork:
        """The space as it decodes here: in what the network draws in. Its copy stays as the network's does."""
        precision = settled(self.document.sampling.precision, self.backbone)
        return self._ready_space.of(self.module["space"], precision=precision, device=self._visited)

    def forget_ready(self) -> None:
        """Give free what copies of the weights, made ready to draw samples, take; the next sample makes them again."""
        self._ready.forget()
        self._ready_space.forget()

    def in_turn(self, part: Literal["space", "conditioners"]) -> AbstractContextManager[None]:
        """Within it, the weights of this part are where the work is done."""
        return visiting(self.module[part], part, self._visited)

    def walking(self) -> AbstractContextManager[None]:
        """Within it the network made ready stays; where it was brought, it leaves with the last who walks."""
        return self._ready.used(leaves=self._visited is not None)

    @torch.no_grad()
    def encode(self, images_BCHW: Tensor) -> Tensor:
        """Points of the space, float32, from pictures in [-1, 1]."""
        with self.in_turn("space"):
            return self.space.encode(images_BCHW.to(self.device, own_type(self.module["space"]))).float()

    @torch.no_grad()
    def decode(self, x_BCHW: Tensor) -> Tensor:
        """Pictures in [-1, 1], float32, from points of the space, computed in what the network draws them in."""
        with self._ready_space.used(leaves=self._visited is not None):
            ready = self.ready_space()
            with products(tf32=ready.compute.tf32):
                decoded_BCHW = cast(Codec, ready.module).decode(x_BCHW.to(ready.compute.dtype))
            return decoded_BCHW.float().clamp(-1, 1)

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
