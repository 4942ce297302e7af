"""What a field's annotation says of components: where parts may stand, nested anywhere."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from diffloom.config.node import Branch, Leaf, Node, Row
from diffloom.kinds import Component, Default, Section
from diffloom.registry import HOME


@dataclass(frozen=True)
class Plain:
    """Ordinary data; pydantic judges it."""

    annotation: Any


@dataclass(frozen=True)
class Part:
    """A component of one kind."""

    kind: str
    default: Default | None
    """What stands here when nothing is said."""
    owner: str
    """The distribution whose names the default means before diffloom's."""


@dataclass(frozen=True)
class Group:
    """A section: named keys, some of which may be parts."""

    model: type[Section]
    owner: str
    """The distribution it belongs to."""


@dataclass(frozen=True)
class Each:
    """A container whose values are parts or groups."""

    container: type[dict[Any, Any]] | type[list[Any]] | type[tuple[Any, ...]]
    items: tuple[Slot, ...]
    """One slot for all values, or one for each position of a fixed tuple."""


@dataclass(frozen=True)
class Either:
    """A union that holds a part, group or container beside plain alternatives such as null."""

    inner: Slot
    annotation: Any


Slot: TypeAlias = Plain | Part | Group | Each | Either
ANYTHING = Plain(Any)


def group(model: type[Section], owner: str = HOME) -> Group:
    """The slot of a section of `owner`'s, or of a component, which is its own distribution's."""
    if issubclass(model, Component) and model.canonical:
        owner = model.canonical.partition("/")[0]
    return Group(model, owner)


def slot_of(annotation: Any, metadata: Sequence[Any], owner: str) -> Slot:
    """What may stand in a field of this annotation, in a section of `owner`'s."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return slot_of(args[0], (*metadata, *args[1:]), owner)
    if origin is None and isinstance(annotation, type):
        return _slot_of_class(annotation, metadata, owner)
    if is_union(annotation):
        inner = (slot for arg in args if not isinstance(slot := slot_of(arg, metadata, owner), Plain))
        found = next(inner, None)
        return Plain(annotation) if found is None else Either(found, annotation)
    if origin in (dict, Mapping):
        value = slot_of(args[1], (), owner)
        return Plain(annotation) if isinstance(value, Plain) else Each(dict, (value,))
    if origin in (list, tuple, Sequence):
        slots = tuple(slot_of(arg, (), owner) for arg in args if arg is not Ellipsis)
        if not all(isinstance(slot, Plain) for slot in slots):
            return Each(list if origin is list else tuple, slots)
    return Plain(annotation)


def _slot_of_class(annotation: type[Any], metadata: Sequence[Any], owner: str) -> Slot:
    if issubclass(annotation, Component):
        default = next((item for item in metadata if isinstance(item, Default)), None)
        if annotation.is_kind():
            return Part(annotation.kind, default, owner)
        if annotation.canonical:  # one component by name: its type need not be written
            return Part(annotation.kind, default or Default(annotation.canonical), owner)
    return group(annotation, owner) if issubclass(annotation, Section) else Plain(annotation)


def is_union(annotation: Any) -> bool:
    """Whether it is written `A | B`, `Optional[A]` or `Union[A, B]`."""
    return get_origin(annotation) in (Union, types.UnionType)


def slot_in(slot: Slot, key: str | int) -> Slot:
    """What may stand under a key, or at a position, of what stands in `slot`."""
    if isinstance(slot, Group):
        field = slot.model.model_fields.get(str(key))
        return ANYTHING if field is None else slot_of(field.annotation, field.metadata, slot.owner)
    if isinstance(slot, Each):
        return slot.items[min(key, len(slot.items) - 1) if isinstance(key, int) else 0]
    return Plain(descend(slot.annotation, key)) if isinstance(slot, Plain) else ANYTHING


def choose(slot: Slot, node: Node) -> Slot:
    """The alternative of a union that this node is written for; other slots stay as they are."""
    if not isinstance(slot, Either):
        return slot
    inner = slot.inner
    forms: tuple[type, ...]
    if isinstance(inner, Part):
        named = isinstance(node, Leaf) and isinstance(node.value, str)
        return inner if named or isinstance(node, Branch) else Plain(slot.annotation)
    forms = (Row,) if isinstance(inner, Each) and inner.container is not dict else (Branch,)
    return inner if isinstance(node, forms) else Plain(slot.annotation)


def bare(annotation: Any) -> Any:
    """The annotation without `Annotated`."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def descend(annotation: Any, key: str | int) -> Any:
    """The annotation of the value under a key or at a position; Any where the annotation does not say."""
    annotation = bare(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if is_union(annotation):
        below = (descend(arg, key) for arg in args)
        return next((found for found in below if found is not Any), Any)
    if isinstance(key, str):
        return args[1] if origin in (dict, Mapping) else Any
    if origin is tuple and args and args[-1] is not Ellipsis:
        return args[min(key, len(args) - 1)]
    return args[0] if origin in (list, tuple, Sequence, set, frozenset) and args else Any
