"""Configuration text as a tree that remembers where every key and value is written."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from diffloom.errors import ConfigError, Problem
from diffloom.registry import HOME

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(eq=False)
class Source:
    """One text: a file, an override, a Python mapping, or the defaults of one distribution's components."""

    name: str
    """What stands before line and column in an error; empty for a Python mapping."""
    use: tuple[str, ...] = (HOME,)
    """The distributions whose bare names this text may say; set when the text's `use:` has been read."""
    ordered: bool = False
    """Whether the first distribution that has a name wins; otherwise a name in two of them is an error."""
    lined: bool = True
    """Whether line and column help to find something in it."""
    order: int = field(default_factory=itertools.count().__next__)
    """Texts are numbered as they are opened (a file, what it extends, its overrides); problems are told so."""


@dataclass(frozen=True)
class Place:
    """Where something is written; lines and columns count from 1."""

    source: Source
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}" if self.source.lined else self.source.name


@dataclass(frozen=True)
class Leaf:
    """A single value."""

    value: Scalar
    place: Place


@dataclass(frozen=True)
class Row:
    """A YAML sequence."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True)
class Entry:
    """A value and the place of its key."""

    key_place: Place
    node: Node


@dataclass(frozen=True)
class Branch:
    """A YAML mapping."""

    entries: Mapping[str, Entry]
    place: Place


@dataclass(frozen=True)
class Broken:
    """Something that has been reported already; whatever it stands in is not judged further."""

    place: Place


Node: TypeAlias = Leaf | Row | Branch | Broken


@dataclass
class Findings:
    """What is wrong, collected while reading goes on."""

    found: list[tuple[Place, str, str]] = field(default_factory=list)
    """(place, dotted path, message)."""

    def add(self, place: Place, path: str, message: str) -> None:
        """Note that the value at `path`, written at `place`, is wrong."""
        if (place, path, message) not in self.found:
            self.found.append((place, path, message))

    def raise_any(self) -> None:
        """Raise ConfigError with everything found, in the order of the texts."""
        if not self.found:
            return
        ordered = sorted(self.found, key=lambda f: (f[0].source.order, f[0].line, f[0].column))
        raise ConfigError(
            [
                Problem(str(place), f"{path}: {message}" if path else message)
                if place.source.name
                else Problem(path, message)
                for place, path, message in ordered
            ]
        )


def join(path: str, key: str | int) -> str:
    """`train` and `lr` → `train.lr`; `backbone.channels` and 1 → `backbone.channels[1]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def from_python(value: Any, *, source: Source, findings: Findings, path: str = "") -> Node:
    """Plain Python values (mappings, sequences, scalars) as a tree; anything else is a finding."""
    place = Place(source)
    if value is None or isinstance(value, str | int | float):  # bool is an int
        return Leaf(value, place)
    if isinstance(value, Mapping):
        entries = {}
        for key, item in value.items():
            if not isinstance(key, str):
                findings.add(place, join(path, str(key)), f"keys are text, not {key!r}")
                continue
            entries[key] = Entry(
                place, from_python(item, source=source, findings=findings, path=join(path, key))
            )
        return Branch(entries, place)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        items = enumerate(value)
        return Row(
            tuple(from_python(v, source=source, findings=findings, path=join(path, i)) for i, v in items),
            place,
        )
    findings.add(
        place, path, f"expected text, a number, a list or a mapping, got an object of {type(value).__name__}"
    )
    return Broken(place)
