"""The files that `weights:` names, into modules that are built already: exactly, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from torch import nn

from diffloom.bridge.accounting import fill, require_fit
from diffloom.bridge.contract import AmbiguousError, Bridge, Foreign
from diffloom.bridge.habits import require_same_habits
from diffloom.bridge.native import is_native, native_parts, open_native
from diffloom.bridge.networks import Network, networks_of
from diffloom.bridge.pieces import Answers
from diffloom.bridge.reading import Reading
from diffloom.bridge.tensors import Tensors
from diffloom.bridge.whole import locate
from diffloom.checkpoint import adopt_strict
from diffloom.config import Document
from diffloom.errors import CheckpointError
from diffloom.kinds import Component, Section
from diffloom.registry import Registry
from diffloom.weighted_parts import components_of, weighted_parts


def fill_weighted(
    component: Component,
    part: object,
    module: nn.Module,
    source: str | Path,
    *,
    registry: Registry,
    pickle: bool = False,
    assume: Mapping[str, str] | None = None,
) -> None:
    """Make the weights in `source` those of `module`, built by `part`: `component` itself, or a section of it.

    The source is a run or a checkpoint of ours, a network's own file or folder, or a whole model that has such a
    network. Averaged weights are taken where there are any. Raises CheckpointError, the module unchanged.
    """
    answers = Answers(assume or {})
    path = locate(source, pickle=pickle, assume=answers)
    if is_native(path):
        _fill_native(component, part, module, path, registry)
        return
    networks = [
        n for n in networks_of(path, Reading(registry, pickle, answers)) if n.kind in (None, component.kind)
    ]
    best = _best(module, networks, list(component.bridges()))
    if best is None:
        raise CheckpointError(
            f"{source}: has no weights that {component.canonical} reads; nothing was loaded"
        )
    network, bridge = best
    require_fit(module, network.best, bridge)
    require_same_habits(part, module, network, bridge, answers)
    fill(module, network.best, bridge)
    answers.require_all_used(str(source))


def fill_model(
    document: Document,
    root: nn.Module,
    source: str | Path,
    *,
    registry: Registry,
    pickle: bool = False,
    assume: Mapping[str, str] | None = None,
) -> None:
    """Make a whole model's weights those of `root`, a pipeline's module that `document` describes.

    Raises CheckpointError when the source lacks a network of the model, or has one more.
    """
    answers = Answers(assume or {})
    path = locate(source, pickle=pickle, assume=answers)
    if is_native(path):
        checkpoint, _ = open_native(path, registry)
        adopt_strict(root, checkpoint.tensors("ema"), checkpoint.path)
        return
    seats = [
        (place, component, part, module)
        for place, component in components_of(document).items()
        for part, module in weighted_parts(component, root.get_submodule(place))
        if any(True for _ in module.state_dict())
    ]
    networks = networks_of(path, Reading(registry, pickle, answers))
    chosen: list[tuple[Section, nn.Module, Network, Bridge]] = []
    for place, component, part, module in seats:
        fitting = [
            n for n in networks if n.kind in (None, component.kind) and all(n is not c[2] for c in chosen)
        ]
        best = _best(module, fitting, list(component.bridges()))
        if best is None:
            raise CheckpointError(
                f"{source}: has no weights for {place}, {component.canonical}; nothing was loaded"
            )
        chosen.append((part, module, *best))
    left = [network.name for network in networks if all(network is not c[2] for c in chosen)]
    if left:
        raise CheckpointError(
            f"{source}: has {', '.join(left)} beside what the configuration describes; nothing was loaded"
        )
    for part, module, network, bridge in chosen:
        require_fit(module, network.best, bridge)
        require_same_habits(part, module, network, bridge, answers)
    for _, module, network, bridge in chosen:
        fill(module, network.best, bridge)
    answers.require_all_used(str(source))


def _best(
    module: nn.Module, networks: Iterable[Network], bridges: Sequence[Bridge]
) -> tuple[Network, Bridge] | None:
    """The network and the bridge whose names agree most with the module's; None where none has a name in common."""
    found = [
        (_agreement(module, network.best, bridge), network, bridge)
        for network in networks
        for bridge in bridges
    ]
    highest = max((agreement for agreement, _, _ in found), default=0.0)
    if highest == 0:
        return None
    (_, network, bridge), *others = [one for one in found if one[0] == highest]
    entries = list(bridge.entries(module))
    rivals = [b for _, theirs, b in others if theirs is network and list(b.entries(module)) != entries]
    return network, _recognising(network, [bridge, *rivals]) if rivals else bridge


def _recognising(network: Network, bridges: Sequence[Bridge]) -> Bridge:
    """Of bridges with the same names and other numbers behind them, the one that knows the weights as its own."""
    opened = network.opened
    try:
        known = (
            bridge for bridge in bridges if bridge.infer(Foreign(opened.tensors, opened.config)) is not None
        )
        return next(known, bridges[0])
    except AmbiguousError as error:
        raise CheckpointError(
            f"{error}\nA configuration has no place for such answers: `diffloom convert` takes them"
        ) from error


def _agreement(module: nn.Module, tensors: Tensors, bridge: Bridge) -> float:
    """The share of names that both have, of those that either has."""
    wanted = {name for entry in bridge.entries(module) for name in entry.theirs}
    there = set(tensors)
    return len(wanted & there) / len(wanted | there)


def _fill_native(
    component: Component, part: object, module: nn.Module, path: Path, registry: Registry
) -> None:
    """From a checkpoint of ours: the tensors of its only part of this sort."""
    checkpoint, document = open_native(path, registry)
    parts = [
        one
        for one in native_parts(document, registry)
        if type(one.part) is type(part) and one.module.state_dict().keys() == module.state_dict().keys()
    ]
    if not parts:
        raise CheckpointError(
            f"{checkpoint.path}: has no {component.kind} like this {component.canonical}; nothing was loaded"
        )
    if len(parts) > 1:
        raise CheckpointError(
            f"{checkpoint.path}: has {len(parts)} networks like this one, and nothing says which; save the one that is "
            "meant by itself"
        )
    adopt_strict(module, parts[0].own(checkpoint.tensors("ema")), checkpoint.path)
