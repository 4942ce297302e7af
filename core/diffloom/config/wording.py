"""pydantic's errors in plain words: `expected a number, got 'fast'`."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from diffloom.config.fields import bare, descend, is_union
from diffloom.kinds import Component, Section
from diffloom.registry import did_you_mean


@dataclass(frozen=True)
class Fault:
    """One thing wrong, `path` keys below the section that was validated."""

    path: tuple[str | int, ...]
    message: str


LIMITS = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "finite_number": "expected a finite number",
}
NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    types.NoneType: "null",
    Path: "a path",
    Any: "a value",
}


def faults(error: ValidationError, model: type[Section]) -> Iterator[Fault]:
    """What `error` says of a section, one fault for each value that is wrong."""
    groups: dict[tuple[str | int, ...], list[tuple[tuple[str | int, ...], str, ErrorDetails]]] = {}
    for details in error.errors(include_url=False):
        path, union, branch = _split(details["loc"], model)
        groups.setdefault(union, []).append((path, branch, details))
    for union, members in groups.items():
        for path, details in _relevant(union, members, model):
            short = details["type"] == "missing" and isinstance(path[-1], int)
            # A list that lacks items is told as a whole, and so is a set: its order is not the file's.
            whole = path[:-1] if short or _in_set(model, path) else path
            annotation = bare(_annotation(model, whole))
            if short or details["type"] in ("too_short", "too_long"):
                annotation = _sequence_in(annotation)
            yield _fault(whole, details, annotation)


def _split(
    loc: tuple[str | int, ...], model: type[Section]
) -> tuple[tuple[str | int, ...], tuple[str | int, ...], str]:
    """A location as (path of keys, path of the union it passes, name of the union's branch).

    pydantic puts the tag of a union's branch into the location, among the keys.
    """
    path: list[str | int] = []
    for position, key in enumerate(loc):
        if isinstance(key, str) and is_union(annotation := bare(_annotation(model, tuple(path)))):
            members = [arg for arg in get_args(annotation) if arg is not types.NoneType]
            if len(members) > 1:
                rest = [k for k in loc[position + 1 :] if k != "[key]"]
                return (*path, *rest), tuple(path), key
        if key != "[key]":
            path.append(key)
    return tuple(path), tuple(path), ""


def _relevant(
    union: tuple[str | int, ...],
    members: list[tuple[tuple[str | int, ...], str, ErrorDetails]],
    model: type[Section],
) -> Iterator[tuple[tuple[str | int, ...], ErrorDetails]]:
    """Of a union's errors those of the branch that was meant: the one whose own type fitted."""
    if not members[0][1]:
        yield from ((path, details) for path, _, details in members)
        return
    misfits = {branch for path, branch, details in members if path == union and _is_mismatch(details["type"])}
    meant = [(path, details) for path, branch, details in members if branch not in misfits]
    yield from meant or [(members[0][0], members[0][2])]


def _is_mismatch(kind: str) -> bool:
    return kind.endswith("_type") or kind in ("int_from_float", "is_instance_of", "none_required")


def _fault(path: tuple[str | int, ...], details: ErrorDetails, annotation: Any) -> Fault:
    kind, context, given = details["type"], details.get("ctx", {}), details["input"]
    fixed = get_origin(annotation) is tuple and Ellipsis not in get_args(annotation)
    if kind == "missing" and not fixed:
        return Fault(path, "required, but missing")
    if kind in LIMITS:
        limit = LIMITS[kind].format(**{name: _trim(value) for name, value in context.items()})
        return Fault(path, f"{limit}, got {_trim(given)}")
    if kind in ("too_short", "too_long") and not fixed:
        bound = (
            f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        )
        return Fault(path, f"must have {bound} items, got {context['actual_length']}")
    if kind in ("value_error", "assertion_error"):
        return Fault(path, str(context["error"]))
    if _is_mismatch(kind) or kind in ("literal_error", "missing", "too_short", "too_long"):
        return Fault(path, f"expected {describe(annotation)}, got {show(given)}{_near(annotation, given)}")
    return Fault(path, details["msg"][:1].lower() + details["msg"][1:])


def _annotation(model: type[Section], path: Sequence[str | int]) -> Any:
    """The annotation of the value at `path` of a section."""
    annotation: Any = model
    for key in path:
        if isinstance(annotation, type) and issubclass(annotation, Section):
            field = annotation.model_fields.get(str(key))
            annotation = field.annotation if field is not None else Any
        else:
            annotation = descend(annotation, key)
    return annotation


def _in_set(model: type[Section], path: tuple[str | int, ...]) -> bool:
    within = bare(_annotation(model, path[:-1]))
    return get_origin(_sequence_in(within)) in (set, frozenset)


def _sequence_in(annotation: Any) -> Any:
    """The sequence among a union's alternatives; an annotation that is no union stays."""
    members = [bare(arg) for arg in get_args(annotation)] if is_union(annotation) else [annotation]
    return next((m for m in members if get_origin(m) in (tuple, list, set, frozenset)), annotation)


def describe(annotation: Any) -> str:
    """What an annotation asks for: `a list of whole numbers`, `'a' or 'b'`."""
    annotation = bare(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if is_union(annotation):
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        return _choice([show(arg) for arg in args])
    if origin in (list, tuple, Sequence, set, frozenset):
        return _describe_list(args, fixed=origin is tuple and Ellipsis not in args)
    if origin in (dict, Mapping) or annotation is dict:
        return "a mapping"
    if origin is None and isinstance(annotation, type) and issubclass(annotation, Section):
        return a(annotation.kind) if issubclass(annotation, Component) else "a mapping"
    return NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _describe_list(args: tuple[Any, ...], *, fixed: bool) -> str:
    items = [describe(arg) for arg in args if arg is not Ellipsis]
    if fixed and len(set(items)) > 1:
        return f"a list: {', '.join(items)}"
    return f"a list of {f'{len(items)} ' if fixed else ''}{_plural(items[0])}"


def _plural(singular: str) -> str:
    return singular.removeprefix("a ") + "s" if singular.startswith("a ") else singular


def a(noun: str) -> str:
    """The noun with its article: `a space`, `an objective`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _choice(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _near(annotation: Any, given: Any) -> str:
    """A hint for a misspelt choice."""
    annotation = bare(annotation)
    options = [annotation, *get_args(annotation)] if is_union(annotation) else [annotation]
    words = [w for o in options if get_origin(o) is Literal for w in get_args(o) if isinstance(w, str)]
    return did_you_mean(given, words) if isinstance(given, str) else ""


def _trim(value: Any) -> str:
    """A value in words, whole floats without their `.0`: pydantic makes floats of limits and of what was written."""
    return show(int(value) if isinstance(value, float) and value.is_integer() else value)


def show(value: Any) -> str:
    """A value as one would write it in YAML, shortened."""
    if value is None or isinstance(value, bool | float):
        return str(json.dumps(value)).replace("Infinity", ".inf").replace("NaN", ".nan")
    if isinstance(value, str | Path):
        text = str(value)
        return repr(text if len(text) <= 60 else text[:57] + "...")
    if isinstance(value, Section | Mapping):
        return a(value.kind) if isinstance(value, Component) else "a mapping"
    if isinstance(value, list | tuple | set | frozenset):
        inside = ", ".join(show(item) for item in value)
        return f"[{inside}]" if len(inside) <= 60 else f"a list of {len(value)}"
    return str(value)
