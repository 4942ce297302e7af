"""One text laid over another: maps merge, the rest replaces, a new `type` discards the old fields."""

from __future__ import annotations

from diffloom.config.fields import ANYTHING, Part, Slot, choose, group, slot_in
from diffloom.config.node import Branch, Entry, Findings, Leaf, Node, Source, from_python
from diffloom.errors import PluginError
from diffloom.kinds import Component
from diffloom.registry import HOME, Registry


def merge(base: Node, top: Node, slot: Slot, registry: Registry) -> Node:
    """`top` laid over `base`; `slot` says what stands here, so that parts are told from plain mappings."""
    slot = choose(slot, top)
    if isinstance(slot, Part):
        return _merge_parts(spread(base), spread(top), slot, registry)
    if isinstance(base, Branch) and isinstance(top, Branch):
        return _merge_entries(base, top, slot, registry)
    return top


def spread(node: Node) -> Node:
    """A part's short form, `space: pixel`, written out: `space: {type: pixel}`."""
    if isinstance(node, Leaf) and isinstance(node.value, str):
        return Branch({"type": Entry(node.place, node)}, node.place)
    return node


def component_of(name: Leaf, kind: str, registry: Registry) -> type[Component]:
    """The component that a name means in the text it is written in. Raises PluginError."""
    assert isinstance(name.value, str)
    source = name.place.source
    if source.ordered and "/" not in name.value:
        for distribution in source.use:
            if (found := registry.get(kind, f"{distribution}/{name.value}")) is not None:
                return found
    return registry.find(kind, name.value, source.use)


def default_node(part: Part) -> Node | None:
    """What stands in a field when nothing is said; its names mean the owner's components, then diffloom's."""
    if part.default is None:
        return None
    source = Source("default", use=tuple(dict.fromkeys((part.owner, HOME))), ordered=True, lined=False)
    findings = Findings()
    node = spread(from_python(part.default.value, source=source, findings=findings))
    assert not findings.found, "a Default holds something that YAML cannot"
    return node


def _merge_parts(base: Node, top: Node, slot: Part, registry: Registry) -> Node:
    if not (isinstance(base, Branch) and isinstance(top, Branch)):
        return top
    old = type_of(base) or type_of(default_node(slot))
    new = type_of(top)
    if old and new and _identity(old, slot.kind, registry) != _identity(new, slot.kind, registry):
        return top
    try:
        named = new or old
        fields: Slot = group(component_of(named, slot.kind, registry)) if named else ANYTHING
    except PluginError:  # an unknown name: told once the merging is done
        fields = ANYTHING
    return _merge_entries(base, top, fields, registry)


def _merge_entries(base: Branch, top: Branch, slot: Slot, registry: Registry) -> Branch:
    entries = dict(base.entries)
    for key, entry in top.entries.items():
        old = entries.get(key)
        node = entry.node if old is None else merge(old.node, entry.node, slot_in(slot, key), registry)
        entries[key] = Entry(entry.key_place, node)
    return Branch(entries, top.place)


def type_of(node: Node | None) -> Leaf | None:
    """The name after `type`, where the node is a part and has one."""
    entry = node.entries.get("type") if isinstance(node, Branch) else None
    if entry is None or not isinstance(entry.node, Leaf) or not isinstance(entry.node.value, str):
        return None
    return entry.node


def _identity(name: Leaf, kind: str, registry: Registry) -> str:
    try:
        return component_of(name, kind, registry).canonical
    except PluginError:
        return str(name.value)
