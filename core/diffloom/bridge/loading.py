"""Weights of other programs, and single networks of anybody's, ready to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from diffloom import config
from diffloom.assembly import assemble
from diffloom.bridge.accounting import fill
from diffloom.bridge.empty import empty_weights
from diffloom.bridge.model import ForeignModel
from diffloom.bridge.native import native_parts, open_native
from diffloom.bridge.networks import networks_of
from diffloom.bridge.pieces import KINDS, Answers
from diffloom.bridge.reading import Reading
from diffloom.checkpoint import adopt_strict
from diffloom.checkpoint.weights import weights_group
from diffloom.config import Document
from diffloom.errors import CheckpointError
from diffloom.pipeline import Pipeline
from diffloom.registry import Registry
from diffloom.weighted_parts import components_of, weighted_parts


def assembled(model: ForeignModel, registry: Registry, overrides: Sequence[str] = ()) -> Pipeline:
    """The pipeline of a foreign model, its weights still to be filled. Raises ConfigError."""
    document = config.load(model.config, overrides, registry=registry).document
    assert isinstance(document, Document)
    with empty_weights():
        return assemble(document, registry=registry)


def fill_foreign(pipeline: Pipeline, model: ForeignModel, *, weights: str, dtype: torch.dtype | None) -> None:
    """Fill every network. Raises CheckpointError when one of them is not to the last tensor what was concluded."""
    components = components_of(pipeline.document)
    for seat, known in model.networks.items():
        module = pipeline.module.get_submodule(seat.path)
        _, inner = weighted_parts(components[seat.path], module)[seat.index]
        averages = known.piece.averages if weights == "ema" else None
        fill(inner, averages or known.piece.foreign.tensors, known.bridge, dtype=dtype)
    empty = [name for name, parameter in pipeline.module.named_parameters() if parameter.is_meta]
    assert not empty, f"no network of the source fills {empty[:4]}"


@dataclass(frozen=True)
class LoadedComponent:
    """A bare network."""

    module: nn.Module
    told: tuple[str, ...]
    """What was concluded of it."""


def load_network(
    path: Path,
    kind: str | None,
    *,
    registry: Registry,
    weights: str = "ema",
    pickle: bool = False,
    assume: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> LoadedComponent:
    """One network of another program's file, folder or whole model; `kind` says which where there are several.

    Raises CheckpointError.
    """
    answers = Answers(assume or {})
    reading = Reading(registry, pickle, answers)
    networks = networks_of(path, reading)
    names = {network.name: network.kind or "" for network in networks}
    if len(networks) > 1:
        networks = [network for network in networks if kind in (network.kind, network.name)]
    if len(networks) != 1:
        raise _which(str(path), kind, names)
    known = networks[0].known(reading)
    if kind in KINDS and known.component.kind != kind:
        raise CheckpointError(
            f"{path}: is a {known.component.kind}, {known.component.canonical}, and no {kind}"
        )
    with empty_weights():
        module = known.inferred.build()
    averages = known.piece.averages if weights == "ema" else None
    fill(module, averages or known.piece.foreign.tensors, known.bridge, dtype=dtype)
    answers.require_all_used(str(path))
    return LoadedComponent(module, tuple(known.told))


def load_native_network(
    path: Path,
    kind: str | None,
    *,
    registry: Registry,
    weights: str = "ema",
    dtype: torch.dtype | None = None,
) -> LoadedComponent:
    """One network of a run or checkpoint of ours, an autoencoder's training included. Raises CheckpointError."""
    checkpoint, document = open_native(path, registry)
    parts = {
        f"{one.seat.path}[{one.seat.index}]" if one.seat.index else one.seat.path: one
        for one in native_parts(document, registry)
    }
    found = {
        name: one
        for name, one in parts.items()
        if kind in (None, name, "conditioner" if name.startswith("conditioners.") else name)
    }
    if len(found) != 1:
        raise _which(str(checkpoint.path), kind, dict.fromkeys(parts, ""))
    ((name, one),) = found.items()
    tensors = checkpoint.tensors(weights_group(weights, checkpoint))
    adopt_strict(one.module, one.own(tensors), checkpoint.path)
    if dtype is not None:
        one.module.to(dtype)
    return LoadedComponent(one.module, (f"{name} of {checkpoint.path}",))


def _which(place: str, kind: str | None, names: Mapping[str, str]) -> CheckpointError:
    listed = ", ".join(f"{name} ({kind})" if kind else name for name, kind in names.items())
    asked = "say which with kind=" if kind is None else f"kind={kind!r} names no single one of them"
    return CheckpointError(f"{place}: has {listed or 'no network'}; {asked}")
