"""Where a new model's weights begin: at random, or as the files say that a configuration names."""

from __future__ import annotations

from torch import nn

from diffloom.config import AnyDocument, AutoencoderDocument, Document
from diffloom.kinds import Component, Weighted
from diffloom.registry import Registry
from diffloom.weighted_parts import components_of, weighted_parts


def fill_from_files(document: AnyDocument, module: nn.Module, *, registry: Registry) -> None:
    """Fill the networks that `weights:` names files for; the others keep the weights they have.

    `module` is what the document builds, by the same names. Half-precision files are brought to float32, to be trained
    in it. Raises CheckpointError for a file that lacks a weight or has one more.
    """
    whole = document.weights if isinstance(document, Document) else None
    if isinstance(document, Document) and whole is not None:
        from diffloom.bridge.filling import fill_model  # with it come the layouts of all other programs

        fill_model(document, module, whole, registry=registry)
        module.float()
    for path, component in [*components_of(document).items(), *_criteria(document)]:
        for part, inner in weighted_parts(component, module.get_submodule(path)):
            if isinstance(part, Weighted) and (source := part.located()) is not None:
                from diffloom.bridge.filling import fill_weighted

                fill_weighted(component, part, inner, source, registry=registry)
                inner.float()


def _criteria(document: AnyDocument) -> list[tuple[str, Component]]:
    """The criteria of an autoencoder's training, by their path in its module: no model, yet some have networks."""
    if not isinstance(document, AutoencoderDocument):
        return []
    return [(f"criteria.{index}", part) for index, part in enumerate(document.autoencoder.criteria)]
