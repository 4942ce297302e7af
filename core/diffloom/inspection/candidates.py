"""Which of the installed samplers a model can be sampled with, and why not the others. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffloom import config
from diffloom.config import Document
from diffloom.config.plain import plain
from diffloom.errors import ConfigError, DiffloomError
from diffloom.kinds import Sampler
from diffloom.registry import Registry


@dataclass(frozen=True)
class Refusal:
    """A sampler that does not suit, and the reason."""

    sampler: str
    reason: str


@dataclass(frozen=True)
class Candidates:
    """The installed samplers, sorted by whether they suit one model."""

    suited: tuple[Sampler, ...]
    """With their defaults; the model's own as its configuration has it."""
    refused: tuple[Refusal, ...]


def candidates(document: Document, names: Sequence[str] | None, *, registry: Registry) -> Candidates:
    """The samplers of these names, or all, each tried in the document's place for one.

    Raises PluginError for an unknown name, and DiffloomError where none suits.
    """
    components = (
        list(registry.of_kind("sampler"))
        if names is None
        else [registry.find("sampler", name) for name in names]
    )
    suited, refused = [], []
    for component in dict.fromkeys(components):
        try:
            suited.append(with_sampler(document, component.canonical, registry=registry).sampling.sampler)
        except ConfigError as error:
            reasons = "; ".join(problem.message for problem in error.problems)
            refused.append(Refusal(component.canonical, reasons))
    if not suited:
        raise none_suits(refused)
    return Candidates(tuple(suited), tuple(refused))


def none_suits(refused: Sequence[Refusal]) -> DiffloomError:
    """The error that says why nothing is left to compare."""
    reasons = "; ".join(f"{refusal.sampler}: {refusal.reason}" for refusal in refused)
    return DiffloomError(f"none of these samplers suits this model: {reasons}")


def with_sampler(document: Document, name: str, *, registry: Registry) -> Document:
    """The document with another sampler. Raises ConfigError where lint, or the sampler's own fields, refuse it."""
    return changed(document, f"sampling.sampler={name}", registry=registry)


def changed(document: Document, override: str, *, registry: Registry) -> Document:
    """The document under an override. Raises ConfigError."""
    resolved = config.load(plain(document), [override], registry=registry)
    return config.require_diffusion(resolved.document, place="")
