"""Merged tree → validated sections and components; findings have places, values have origins."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError

from diffloom.config.choice import KEY
from diffloom.config.document import Document
from diffloom.config.fields import (
    Each,
    Either,
    Group,
    Part,
    Plain,
    Slot,
    bare,
    choose,
    descend,
    group,
    is_union,
    slot_in,
)
from diffloom.config.merge import component_of, default_node, merge, spread
from diffloom.config.node import Branch, Broken, Entry, Findings, Leaf, Node, Place, Row, join
from diffloom.config.wording import Fault, a, faults, show
from diffloom.errors import PluginError
from diffloom.kinds import Component, Section
from diffloom.registry import Registry, did_you_mean


class _Failed:
    """Stands for a value that was found wrong."""


FAILED = _Failed()


class Resolver:
    """Builds sections and components bottom-up, so that every part is judged even where another is wrong."""

    def __init__(self, registry: Registry, findings: Findings) -> None:
        self.registry = registry
        self.findings = findings
        self.origins: dict[str, Place] = {}
        """Dotted path → where its value is written; what is missing here was left to its default."""

    def section(self, slot: Group, node: Branch, path: str, place: Place) -> Section | _Failed:
        """The section that a mapping describes; `place` is where its name is written."""
        fields = slot.model.model_fields
        values: dict[str, Any] = {}
        failed: set[str] = set()
        for key, entry in node.entries.items():
            if key not in fields:
                self._unknown(slot, key, entry, path)
                continue
            values[key] = self.value(slot_in(slot, key), entry, join(path, key))
        for name in (name for name in fields if name not in node.entries):
            inner = slot_in(slot, name)
            inner = inner.inner if isinstance(inner, Either) else inner
            if isinstance(inner, Part) and (default := default_node(inner)) is not None:
                values[name] = self.value(inner, Entry(default.place, default), join(path, name))
        for name in [name for name, value in values.items() if value is FAILED]:
            failed.add(name)
            del values[name]
        try:
            section = slot.model.model_validate(values)
        except ValidationError as error:
            for fault in faults(error, slot.model):
                if not (failed and (not fault.path or fault.path[0] in failed)):
                    self._report(fault, node, path, place)
            return FAILED
        return FAILED if failed else section

    def value(self, slot: Slot, entry: Entry, path: str) -> Any:
        """The Python value of what is written at `path`, or FAILED."""
        node = entry.node
        self.origins[path] = node.place
        if isinstance(node, Broken):
            return FAILED
        slot = choose(slot, node)
        if isinstance(slot, Part):
            return self._part(slot, entry, path)
        if isinstance(slot, Group):
            if isinstance(node, Branch):
                return self.section(slot, node, path, entry.key_place)
            self.findings.add(node.place, path, f"expected a mapping of keys, got {show(plain(node))}")
            return FAILED
        if isinstance(slot, Each):
            return self._each(slot, node, path)
        annotation = slot.annotation if isinstance(slot, Plain) else Any
        return self._plain(node, annotation, path)

    def _part(self, slot: Part, entry: Entry, path: str) -> Any:
        node = spread(entry.node)
        if not isinstance(node, Branch):
            wanted = f"expected {a(slot.kind)}: a name, or a mapping with `type`"
            self.findings.add(node.place, path, f"{wanted}; got {show(plain(node))}")
            return FAILED
        if "type" not in node.entries:
            default = default_node(slot)
            if default is None:
                names = self.registry.names(slot.kind)
                there = f"; there are {', '.join(names)}" if names else ""
                self.findings.add(entry.key_place, join(path, "type"), f"required, but missing{there}")
                return FAILED
            merged = merge(default, node, slot, self.registry)
            assert isinstance(merged, Branch)
            node = merged
        name = node.entries["type"].node
        if isinstance(name, Broken):
            return FAILED
        if not (isinstance(name, Leaf) and isinstance(name.value, str)):
            message = f"expected the name of {a(slot.kind)}, got {show(plain(name))}"
            self.findings.add(name.place, join(path, "type"), message)
            return FAILED
        try:
            component = component_of(name, slot.kind, self.registry)
        except PluginError as error:
            short = name.place == node.place  # `schedule: linnear`
            self.findings.add(name.place, path if short else join(path, "type"), str(error))
            return FAILED
        self.origins[join(path, "type")] = name.place
        fields = Branch({k: e for k, e in node.entries.items() if k != "type"}, node.place)
        return self.section(group(component), fields, path, entry.key_place)

    def _each(self, slot: Each, node: Node, path: str) -> Any:
        if slot.container is dict:
            if not isinstance(node, Branch):
                self.findings.add(node.place, path, f"expected a mapping, got {show(plain(node))}")
                return FAILED
            named = {k: self.value(slot_in(slot, k), e, join(path, k)) for k, e in node.entries.items()}
            return FAILED if FAILED in named.values() else named
        if not isinstance(node, Row):
            self.findings.add(node.place, path, f"expected a list, got {show(plain(node))}")
            return FAILED
        items = [
            self.value(slot_in(slot, i), Entry(n.place, n), join(path, i)) for i, n in enumerate(node.items)
        ]
        return FAILED if FAILED in items else slot.container(items)

    def _plain(self, node: Node, annotation: Any, path: str) -> Any:
        """Ordinary data in the containers that the annotation names: strict models convert nothing."""
        self.origins[path] = node.place
        if isinstance(node, Leaf):
            return Path(node.value) if isinstance(node.value, str) and _wants_path(annotation) else node.value
        if isinstance(node, Broken):
            return FAILED
        inside: list[Any]
        if isinstance(node, Branch):
            inside = [
                self._plain(entry.node, descend(annotation, key), join(path, key))
                for key, entry in node.entries.items()
            ]
            return FAILED if FAILED in inside else dict(zip(node.entries, inside, strict=True))
        inside = [
            self._plain(item, descend(annotation, i), join(path, i)) for i, item in enumerate(node.items)
        ]
        if FAILED in inside:
            return FAILED
        try:
            return _container(annotation)(inside)
        except TypeError:  # a set cannot hold this; pydantic says what was wanted
            return tuple(inside)

    def _unknown(self, slot: Group, key: str, entry: Entry, path: str) -> None:
        model = slot.model
        names = [*model.model_fields, *([KEY] if model is Document else [])]
        whose = f" of {model.canonical}" if issubclass(model, Component) and model.canonical else ""
        there = f"; there are {', '.join(names)}" if names else "; it has none"
        hint = did_you_mean(key, names) or there
        self.findings.add(entry.key_place, join(path, key), f"unknown key{whose}{hint}")

    def _report(self, fault: Fault, node: Node, path: str, place: Place) -> None:
        """Note a fault at the innermost written value that it is about."""
        for key in fault.path:
            path = join(path, key)
            if isinstance(node, Branch) and isinstance(key, str) and key in node.entries:
                entry = node.entries[key]
                node, place = entry.node, entry.node.place
            elif isinstance(node, Row) and isinstance(key, int) and key < len(node.items):
                node = node.items[key]
                place = node.place
        self.findings.add(place, path, fault.message)


def plain(node: Node) -> Any:
    """A tree as Python values, for messages."""
    if isinstance(node, Branch):
        return {key: plain(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Row):
        return tuple(plain(item) for item in node.items)
    return node.value if isinstance(node, Leaf) else None


def _wants_path(annotation: Any) -> bool:
    annotation = bare(annotation)
    if is_union(annotation):
        return any(_wants_path(arg) for arg in annotation.__args__)
    return isinstance(annotation, type) and issubclass(annotation, Path)


def _container(annotation: Any) -> type[Any]:
    """The sequence type that the annotation names; tuple where it names none."""
    annotation = bare(annotation)
    members = annotation.__args__ if is_union(annotation) else (annotation,)
    origins = [get_origin(bare(member)) or member for member in members]
    return next((container for container in (list, frozenset, set) if container in origins), tuple)
