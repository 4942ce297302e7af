"""A model of ours, opened to be written in another form: its configuration, and its networks one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from diffloom.assembly import assemble
from diffloom.bridge.accounting import theirs_of
from diffloom.bridge.contract import Bridge, Inferred
from diffloom.bridge.empty import empty_weights
from diffloom.bridge.model import Seat
from diffloom.bridge.native import open_native
from diffloom.checkpoint import adopt_strict
from diffloom.config import Document
from diffloom.config.choice import require_diffusion
from diffloom.errors import CheckpointError
from diffloom.kinds import Component
from diffloom.pipeline import Pipeline
from diffloom.registry import Registry
from diffloom.weighted_parts import components_of, weighted_parts


@dataclass(frozen=True)
class OwnNetwork:
    """One network of the model."""

    seat: Seat
    component: Component
    part: Any
    """The component, or the section of it, that built the module."""
    module: nn.Module
    shapes: Mapping[str, Any]
    """What it was built with."""

    def bridge(self, format: str) -> Bridge:
        """The bridge to a program's weights. Raises CheckpointError where there is none."""
        bridges = list(self.component.bridges())
        found = next((bridge for bridge in bridges if bridge.format == format), None)
        if found is None:
            there = ", ".join(dict.fromkeys(bridge.format for bridge in bridges)) or "no other program's"
            raise CheckpointError(
                f"{self.seat.path}: {self.component.canonical} has no form of {format}; it has that of {there}"
            )
        return found

    def config(self, format: str) -> dict[str, Any] | None:
        """Their configuration of it. Raises CheckpointError when theirs cannot express it."""
        try:
            return self.bridge(format).config(Inferred(self.part, self.shapes))
        except CheckpointError as error:
            raise CheckpointError(f"{self.seat.path}: {error}") from error

    def tensors(self, format: str) -> dict[str, Tensor]:
        """Its weights under their names."""
        return theirs_of(self.module, self.bridge(format))


@dataclass(frozen=True)
class OwnModel:
    """A model with its weights."""

    pipeline: Pipeline

    @property
    def document(self) -> Document:
        """Its configuration."""
        return self.pipeline.document

    @cached_property
    def networks(self) -> Mapping[Seat, OwnNetwork]:
        """Every network that has weights, by where it is."""
        return {network.seat: network for network in self._networks()}

    def at(self, path: str) -> list[OwnNetwork]:
        """The networks of one component."""
        return [network for seat, network in self.networks.items() if seat.path == path]

    def _networks(self) -> Iterator[OwnNetwork]:
        document = self.document
        shapes: dict[str, dict[str, Any]] = {
            "space": {"image": document.image.info},
            "backbone": {"space": document.space_info, "condition": document.condition_info},
        }
        for path, component in components_of(document).items():
            module = self.pipeline.module.get_submodule(path)
            for index, (part, inner) in enumerate(weighted_parts(component, module)):
                if any(True for _ in inner.state_dict()):
                    yield OwnNetwork(Seat(path, index), component, part, inner, shapes.get(path, {}))


def open_model(source: Path, *, registry: Registry, weights: str = "ema") -> OwnModel:
    """Open a run or a checkpoint of ours; `weights` is the group that is taken. Raises CheckpointError."""
    checkpoint, document = open_native(source, registry)
    document = require_diffusion(document, place=str(checkpoint.path))
    with empty_weights():
        pipeline = assemble(document, registry=registry)
    adopt_strict(pipeline.module, checkpoint.tensors(weights), checkpoint.path)
    return OwnModel(pipeline)
