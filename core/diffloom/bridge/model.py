"""A whole model of another program, understood: its configuration here, and which of its weights go where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffloom.bridge.pieces import Known


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
