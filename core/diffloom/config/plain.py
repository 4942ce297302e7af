"""A document as plain values, and those as YAML text: every default filled, components by canonical name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from diffloom.config.choice import AnyDocument
from diffloom.config.node import join
from diffloom.config.scalars import resolve
from diffloom.errors import PluginError
from diffloom.kinds import Component, Section
from diffloom.registry import Registry

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-")
"""Text of these characters needs no quotes, unless it would be read as something else."""
OLD_BOOLEANS = frozenset({"y", "n", "yes", "no", "on", "off"})
"""Text to us; quoted for readers that know YAML 1.1 only."""


def plain(value: Any) -> Any:
    """Sections as dicts, components with their `type` first, sequences as lists."""
    if isinstance(value, Component):
        return {"type": canonical(value), **_fields(value)}
    if isinstance(value, Section):
        return _fields(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _fields(section: Section) -> dict[str, Any]:
    return {name: plain(getattr(section, name)) for name in type(section).model_fields}


def canonical(component: Component) -> str:
    """`distribution/name`. Raises PluginError for a component that was never registered."""
    if not component.canonical:
        raise PluginError(f"{type(component).__qualname__} is not registered, so no file can name it")
    return component.canonical


def components(value: Any) -> Iterator[Component]:
    """Every component in a document, nested ones included."""
    if isinstance(value, Section):
        if isinstance(value, Component):
            yield value
        for name in type(value).model_fields:
            yield from components(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from components(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from components(item)


def with_versions(document: AnyDocument, registry: Registry) -> AnyDocument:
    """The document with the versions of exactly the plugins it uses."""
    used = sorted({canonical(component).partition("/")[0] for component in components(document)})
    versions = {name: registry.versions[name] for name in used}
    return document.model_copy(update={"plugins": versions})


def digest(document: AnyDocument) -> str:
    """SHA-256, in hexadecimal, of what the document says; the plugins' versions do not count."""
    values = {key: value for key, value in plain(document).items() if key != "plugins"}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def to_yaml(document: AnyDocument, registry: Registry) -> str:
    """The document as YAML that loads again to an equal one, with the versions of the plugins it uses."""
    values = plain(with_versions(document, registry))
    return "".join(f"{text}\n" for text, _ in lines(values))


def lines(values: Mapping[str, Any], path: str = "", indent: str = "") -> Iterator[tuple[str, str | None]]:
    """The lines of a block mapping: each with its value's path, or None where that is further down."""
    for key, value in values.items():
        here = join(path, key)
        if isinstance(value, dict) and value:
            yield f"{indent}{_scalar(key)}:", None
            yield from lines(value, here, indent + "  ")
        elif isinstance(value, list) and any(isinstance(item, dict) and item for item in value):
            yield f"{indent}{_scalar(key)}:", None
            yield from _items(value, here, indent + "  ")
        else:
            yield f"{indent}{_scalar(key)}: {_flow(value)}", here


def _items(values: list[Any], path: str, indent: str) -> Iterator[tuple[str, str | None]]:
    for index, value in enumerate(values):
        here = join(path, index)
        if isinstance(value, dict) and value:
            first, *rest = lines(value, here, indent + "  ")
            yield f"{indent}- {first[0].lstrip()}", first[1]
            yield from rest
        else:
            yield f"{indent}- {_flow(value)}", here


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return _text(value)
    assert isinstance(value, int), f"{type(value).__name__} has no form in YAML"
    return str(value)


def _number(value: float) -> str:
    """The shortest digits that give this float again, with a point: YAML 1.1 takes `1e-05` for text."""
    text = repr(value)
    if text in ("inf", "-inf", "nan"):
        return text.replace("inf", ".inf").replace("nan", ".nan")
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}{e}{exponent}"


def _text(value: str) -> str:
    simple = value and value[0].isalpha() and PLAIN.issuperset(value)
    if simple and resolve(value) == value and value.lower() not in OLD_BOOLEANS:
        return value
    import yaml  # most texts are simple

    quoted: str = yaml.dump(value, default_style='"', allow_unicode=True, width=2**31)
    return quoted.rstrip("\n")
