"""Which parts of a model have weights, and which module each of them built."""

from __future__ import annotations

from torch import nn

from diffloom.config import Document
from diffloom.config.choice import AnyDocument
from diffloom.kinds import Component, Section


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
