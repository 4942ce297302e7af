"""Laws of every component: a documented, frozen configuration that survives YAML and hides nothing mutable."""

from __future__ import annotations

import json

from pydantic import ValidationError

from diffloom.config.plain import components
from diffloom.kinds import Component, Section
from diffloom.testing.checks import BrokenLawError, Check, expect


def is_documented(component: Component) -> None:
    """The docstring's first line is a short sentence, and every field has a docstring."""
    first = (type(component).__doc__ or "").strip().partition("\n")[0]
    expect(
        0 < len(first) <= 110,
        "a docstring whose first line, of at most 110 characters, says what it is",
        first,
    )
    bare = [name for name in type(component).model_fields if not type(component).field_doc(name)]
    expect(not bare, "a docstring below every field", f"none below {', '.join(bare)}")


def is_frozen(component: Component) -> None:
    """No field can be assigned, and unknown fields are refused."""
    for name in type(component).model_fields:
        try:
            setattr(component, name, getattr(component, name))
        except ValidationError:
            continue
        raise BrokenLawError(f"expected a frozen configuration; {name} could be assigned")
    try:
        type(component).model_validate({**dict(component), "no_such_field": 1})
    except ValidationError as error:
        kinds = {item["type"] for item in error.errors()}
        expect("extra_forbidden" in kinds, "an unknown key to be refused", kinds)
    else:
        raise BrokenLawError("expected an unknown key to be refused; it was taken")


def is_deeply_immutable(component: Component) -> None:
    """It can be hashed, so no field holds a list, a dict or a set."""
    for name, value in component:
        try:
            hash(value)
        except TypeError:
            raise BrokenLawError(
                f"expected an immutable value; {name} holds a {type(value).__name__}: use tuple or frozenset"
            ) from None
    hash(component)


def survives_yaml(component: Component) -> None:
    """Written as plain YAML values and read again, it is equal: a checkpoint carries it so."""
    if len(list(components(component))) > 1 or any(isinstance(value, Section) for _, value in component):
        return  # parts inside are written under their own names, by the configuration loader
    text = component.model_dump_json()
    try:
        again = type(component).model_validate_json(text)
    except ValidationError as error:
        raise BrokenLawError(f"expected {text} to be read again; got {error}") from error
    expect(again == component, f"{component!r} again", repr(again))


def has_a_schema(component: Component) -> None:
    """Editors are given a JSON Schema that describes every field."""
    schema = type(component).model_json_schema()
    json.dumps(schema)
    fields = set(type(component).model_fields)
    expect(
        set(schema.get("properties", {})) == fields,
        f"the properties {sorted(fields)}",
        schema.get("properties"),
    )


CHECKS: tuple[Check, ...] = (is_documented, is_frozen, is_deeply_immutable, survives_yaml, has_a_schema)
