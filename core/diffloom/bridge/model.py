"""A whole model of another program, understood: its configuration here, and which of its weights go where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from diffloom.bridge.pieces import Known
from diffloom.config import Document
from diffloom.config.choice import AnyDocument
from diffloom.kinds import Component, Section


@dataclass(frozen=True)
class Seat:
    """Where one network belongs in a pipeline."""

    path: str
    """`space`, `backbone`, or `conditioners.prompt`: the component's place in the document and in the module."""
    index: int = 0
    """Which of the component's weighted parts."""


@dataclass(frozen=True)
class ForeignModel:
    """What a layout makes of a source."""

    place: str
    layout: str
    """The layout's name, for people: `diffusers StableDiffusionPipeline`."""
    config: Mapping[str, Any]
    """The model as a configuration."""
    networks: Mapping[Seat, Known]
    """Every network of it."""
    told: tuple[str, ...]
    """What was concluded from what, beside what the networks' bridges told."""

    @property
    def lines(self) -> tuple[str, ...]:
        """All that was concluded, one line each."""
        networks = (line for known in self.networks.values() for line in known.told)
        return (f"layout: {self.layout}", *self.told, *networks)


def weighted_parts(component: Component, module: nn.Module) -> list[tuple[Section, nn.Module]]:
    """The parts of a component that have weights of their own, each with the module that it built."""
    return list(component.weighted(module))


def components_of(document: AnyDocument) -> dict[str, Component]:
    """The components of a document that may have weights, by their path in it and in the built module."""
    if not isinstance(document, Document):
        return {"space": document.space}
    return {
        "space": document.space,
        **{f"conditioners.{key}": part for key, part in document.conditioners.items()},
        "backbone": document.backbone,
    }
