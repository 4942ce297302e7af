"""What of a model is learned, and how long it is trained."""

from __future__ import annotations

from torch import nn

from diffloom.assembly import assemble
from diffloom.bridge.empty import empty_weights
from diffloom.building import built
from diffloom.config import AutoencoderDocument, Document
from diffloom.config.document import Train
from diffloom.errors import ConfigError
from diffloom.inspection.optimisation import optimisation
from diffloom.inspection.page import Section
from diffloom.registry import Registry


def training(section: Section, train: Train | None) -> None:
    """The rows of a training run."""
    if train is None:
        section.add("run", "no `train:` section; this file only samples")
        return
    examples = train.steps * train.batch_size
    section.add("run", f"{train.steps:,} steps of {train.batch_size} examples, {examples:,} in all")
    optimisation(section, train)


def learned(document: Document, *, registry: Registry) -> Section:
    """Weights by part, counted on networks that are built without memory for them."""
    section = Section("What is learned")
    try:
        with empty_weights():
            module = assemble(document, registry=registry).module
            objective = document.objective.build()
    except ConfigError as error:
        section.add("unknown", f"the networks cannot be built before their data are known: {error}")
        return section
    parts: dict[str, nn.Module] = {"space": module["space"]}
    conditioners = module["conditioners"]
    parts |= {f"conditioners.{name}": part for name, part in conditioners.named_children()}
    parts |= {name: part for name, part in module.items() if name not in ("space", "conditioners")}
    if isinstance(objective, nn.Module) and any(True for _ in objective.parameters()):
        parts["objective"] = objective
    for name, part in parts.items():
        _count(section, name, part, frozen=name == "space")
    return section


def learned_by_autoencoder(document: AutoencoderDocument) -> Section:
    """The same for an autoencoder and what judges it."""
    section = Section("What is learned")
    with empty_weights():
        space = built("space", document.space.build, image=document.image.info)
    for name, part in space.named_children():
        _count(section, name, part, frozen=False)
    return section


def _count(section: Section, name: str, part: nn.Module, *, frozen: bool) -> None:
    weights = list(part.parameters())
    total = sum(weight.numel() for weight in weights)
    trained = 0 if frozen else sum(weight.numel() for weight in weights if weight.requires_grad)
    if total == 0:
        section.add(name, "no weights")
    elif trained in (0, total):
        section.add(name, f"{total:,} weights, {'learned' if trained else 'fixed'}")
    else:
        section.add(name, f"{total:,} weights, {trained:,} of them learned")
