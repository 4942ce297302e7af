"""What `diffloom plugins list` and `show` print. Needs no torch."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from diffloom.kinds import KINDS

if TYPE_CHECKING:
    from diffloom.kinds import Component
    from diffloom.registry import Registry


def plain_listing(registry: Registry) -> Iterator[str]:
    """The listing for pipes: aligned, no colours, no boxes."""
    names = [component.canonical for _, component in sorted(registry.components.items())]
    width = max((len(name) for name in names), default=0)
    for kind in KINDS:
        if components := list(registry.of_kind(kind)):
            yield kind
            yield from (f"  {c.canonical:<{width}}  {summary(c)}" for c in components)
    if registry.quarantined:
        yield "set aside"
        yield from (f"  {q.distribution} ({q.entry_point}): {q.reason}" for q in registry.quarantined)


def print_tables(registry: Registry) -> None:
    """The listing for people."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("kind", "name", "what it is"):
        table.add_column(column, no_wrap=column != "what it is")
    for kind in KINDS:
        for i, component in enumerate(registry.of_kind(kind)):
            table.add_row("" if i else f"[cyan]{kind}[/]", component.canonical, escape(summary(component)))
    console = Console()
    console.print(table)
    if registry.quarantined:
        aside = Table(box=None, padding=(0, 2, 0, 0), header_style="bold red")
        for column in ("set aside", "entry point", "why"):
            aside.add_column(column)
        for plugin in registry.quarantined:
            aside.add_row(
                *(escape(text) for text in (plugin.distribution, plugin.entry_point, plugin.reason))
            )
        console.print()
        console.print(aside)


def inventory(registry: Registry) -> dict[str, Any]:
    """The listing for programs."""
    return {
        "distributions": registry.versions,
        "components": [
            {
                "kind": kind,
                "name": name,
                "module": c.__module__,
                "summary": summary(c),
                "fields": list(c.model_fields),
            }
            for (kind, name), c in sorted(registry.components.items())
        ],
        "quarantined": [vars(plugin) for plugin in registry.quarantined],
    }


def description(component: type[Component], registry: Registry) -> Iterator[str]:
    """Everything that is known of one component: where it is from, what it is, its fields."""
    distribution = component.canonical.partition("/")[0]
    yield f"{component.kind} {component.canonical}"
    yield f"{distribution} {registry.versions[distribution]}, {component.__module__}.{component.__qualname__}"
    yield ""
    yield inspect.cleandoc(component.__doc__ or "")
    for name, item in component.model_fields.items():
        default = (
            "required"
            if item.is_required()
            else f"default {_yaml(item.get_default(call_default_factory=True))}"
        )
        yield ""
        yield f"  {name}: {_type(component, name)} ({default})"
        yield from (f"      {line}" for line in component.field_doc(name).splitlines())


def _yaml(value: object) -> str:
    """A default as one writes it in YAML."""
    if isinstance(value, tuple):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def _type(component: type[Component], name: str) -> str:
    """A field's type with its bounds, from its JSON Schema."""
    return _words(component.model_json_schema()["properties"][name])


def _words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_words(option) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if "$ref" in schema:
        return f"a {schema['$ref'].rpartition('/')[2]}"
    if schema.get("type") == "array":
        return f"list of {_words(schema.get('items', {}))}"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    return " ".join([schema.get("type", "anything"), ", ".join(limits)]).strip()


def summary(component: type[Component]) -> str:
    """The first line of its docstring."""
    return (component.__doc__ or "").strip().partition("\n")[0]
