"""The networks of a foreign source, one by one, and which of our components each of them is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from diffloom.bridge.contract import AmbiguousError, Bridge, Foreign, Inferred
from diffloom.bridge.tensors import Tensors
from diffloom.errors import CheckpointError
from diffloom.kinds import Component
from diffloom.registry import Registry

KINDS = ("backbone", "space", "conditioner")
"""The kinds of components that have weights."""


@dataclass(frozen=True)
class Piece:
    """One network of a source."""

    name: str
    """What the source calls it: `unet`, `first_stage_model`; for messages."""
    kind: str | None
    """The kind of our component that it is; None where nothing says."""
    foreign: Foreign
    averages: Tensors | None = None
    """Averaged weights under the same names, where the source has both."""


@dataclass(frozen=True)
class Known:
    """A piece that a bridge knows."""

    piece: Piece
    component: type[Component]
    """The component that lists the bridge; what it inferred may be a section of one."""
    bridge: Bridge
    inferred: Inferred

    def changed(self, **fields: Any) -> Known:
        """The same network, with fields of its part that its weights do not tell."""
        part = self.inferred.part.model_copy(update=fields)
        return replace(self, inferred=replace(self.inferred, part=part))

    @property
    def told(self) -> Iterator[str]:
        """What was concluded, each line with the piece in front."""
        yield f"{self.piece.name}: {self.component.canonical}, read as {self.bridge.format} weights"
        yield from (f"{self.piece.name}: {line}" for line in self.inferred.told)


class Answers(Mapping[str, str]):
    """The user's `assume`, which remembers what was asked of it: an answer to no question is a mistake."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)
        self._asked: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self._asked.add(key)
        return self._given[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def require_all_used(self, place: str) -> None:
        """Raises CheckpointError naming the answers that nothing asked for."""
        spare = sorted(self._given.keys() - self._asked)
        if spare:
            asked = ", ".join(sorted(self._asked)) or "nothing"
            raise CheckpointError(
                f"{place}: --assume {', '.join(spare)} answers no question here; what can be assumed: {asked}"
            )


class AnswersOf(Mapping[str, str]):
    """The answers for one piece: `text_encoder.heads` for it alone comes before `heads` for all."""

    def __init__(self, name: str, answers: Mapping[str, str]) -> None:
        self._name = name
        self._answers = answers

    def __getitem__(self, key: str) -> str:
        own = f"{self._name}.{key}"
        return self._answers[own] if own in self._answers else self._answers[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)


def bridges_of(kinds: Iterable[str], registry: Registry) -> Iterator[tuple[type[Component], Bridge]]:
    """Every bridge that the components of these kinds list, each once."""
    seen: set[type] = set()
    for kind in kinds:
        for component in registry.of_kind(kind):
            for bridge in component.bridges():
                if type(bridge) not in seen:  # components that share a network share its bridges
                    seen.add(type(bridge))
                    yield component, bridge


def recognise(piece: Piece, registry: Registry) -> Known:
    """Which component's weights a piece is.

    Raises CheckpointError when no bridge knows it, and AmbiguousError when several do.
    """
    foreign, kinds = piece.foreign, KINDS if piece.kind is None else (piece.kind,)
    found = [
        Known(piece, component, bridge, inferred)
        for component, bridge in bridges_of(kinds, registry)
        if (inferred := bridge.infer(foreign)) is not None
    ]
    if len(found) > 1:
        wanted = foreign.assume.get("format")
        found = [known for known in found if known.bridge.format == wanted] or found
    if len(found) > 1:
        choices = {f"format={known.bridge.format}": known.component.canonical for known in found}
        raise AmbiguousError(foreign.tensors.place, f"{piece.name} fits several networks", choices)
    if not found:
        first = ", ".join(islice(foreign.tensors, 4)) or "none"
        raise CheckpointError(
            f"{foreign.tensors.place}: no installed plugin knows {piece.name}: {len(foreign.tensors)} tensors "
            f"({first}, …) that are no {' or '.join(kinds)} of a known program; nothing was loaded"
        )
    return found[0]
