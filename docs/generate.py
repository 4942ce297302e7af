"""Write what follows from the code: docs/reference.md, configs/schema.json and docs/mathematics.md's line numbers.

Run by `make docs`. A test fails when one of them is stale. Only diffloom's own components are told, whatever else is
installed.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from diffloom import hooks
from diffloom.config.schema import json_schema, schema_text
from diffloom.kinds import KINDS, Component
from diffloom.plugins import load_registry
from diffloom.registry import HOME, Registry

ROOT = Path(__file__).resolve().parents[1]
Schema = dict[str, Any]
WORDS = {"boolean": "`true` or `false`", "string": "text", "null": "`null`"}

HEAD = """# Reference

Written by `make docs` from the code's own docstrings; do not edit it by hand.

A configuration is one YAML file. Its keys come first, then every kind of part with the components diffloom brings,
then the hooks a plugin may implement. `diffloom plugins list` shows what your own installation has.
"""


def pages(registry: Registry) -> dict[str, str]:
    """Path below the repository → what the file there should hold."""
    return {
        "docs/reference.md": reference(registry),
        "configs/schema.json": schema_text(registry, only=[HOME]),
    }


def reference(registry: Registry) -> str:
    """The reference page as Markdown."""
    definitions = json_schema(registry, only=[HOME])["$defs"]
    parts = [HEAD, "## The file\n", *_section(definitions["document"]), *_sections(definitions, "document")]
    parts += ["## The file of an autoencoder\n", *_section(definitions["autoencoder_document"])]
    parts += _sections(definitions, "autoencoder")
    for kind, base in KINDS.items():
        parts += [f"## Kind `{kind}`\n", _doc(base), *_contract(base)]
        for component in registry.of_kind(kind):
            if component.canonical.startswith(f"{HOME}/"):
                key = f"{kind}.{component.canonical.replace('/', '.')}"
                parts += [f"### {kind} `{component.name}`\n", *_section(definitions[key])]
    return "\n".join([*parts, "## Hooks\n", f"{inspect.getdoc(hooks)}\n", *_hooks()])


def _sections(definitions: Schema, module: str) -> Iterator[str]:
    """The sections of a file that one module of `diffloom.config` defines, each under the key it stands at."""
    for name, definition in definitions.items():
        if name.startswith(f"diffloom.config.{module}."):
            yield f"### `{_place(definitions, name)}`\n"
            yield from _section(definition)


def _place(definitions: Schema, name: str) -> str:
    """The key that a section stands at, dotted where it stands inside another: `train.sentinel`."""
    if name in ("document", "autoencoder_document"):
        return ""
    holders = {"autoencoder_document", "document"} | {
        key for key in definitions if key.startswith("diffloom.")
    }
    holder, key = next(
        (holder, key)
        for holder in sorted(holders)
        for key, value in definitions[holder]["properties"].items()
        if f'"#/$defs/{name}"' in json.dumps(value)
    )
    return f"{_place(definitions, holder)}.{key}".lstrip(".")


def _section(definition: Schema) -> Iterator[str]:
    """A section's description, and a table of its keys."""
    yield f"{definition['description']}\n"
    fields = {key: field for key, field in definition["properties"].items() if key != "type"}
    if not fields:
        yield "It has no keys.\n"
        return
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for key, field in fields.items():
        default = f"`{json.dumps(field['default'], ensure_ascii=False)}`" if "default" in field else ""
        if not default:
            default = "required" if key in definition.get("required", ()) else ""
        meaning = " ".join(field.get("description", "").split())
        yield f"| `{key}` | {_value(field)} | {default} | {meaning} |".replace("  ", " ")
    yield ""


def _value(schema: Schema) -> str:
    """What may stand after the key, in words."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return f"[{name}](#kind-{name})" if name in KINDS else f"`{name.rpartition('.')[2].lower()}` keys"
    if "anyOf" in schema:
        words = [_value(choice) for choice in schema["anyOf"] if "partial." not in choice.get("$ref", "")]
        return " or ".join(words)
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type"))
    if kind == "object":
        return f"name → {_value(schema['additionalProperties'])}"
    return _list(schema) if kind == "array" else WORDS.get(kind, f"{kind}{_bounds(schema)}")


def _list(schema: Schema) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(_value(item) for item in schema['prefixItems'])}]"
    return f"list of {_value(schema['items'])}"


def _bounds(schema: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return f" {' and '.join(bounds)}" if bounds else ""


def _contract(base: type[Component]) -> Iterator[str]:
    """What a component of this kind has to define, and the protocols of what it builds."""
    methods = {name: member for name, member in vars(base).items() if _is_contract(name, member)}
    needed = {name for name, member in methods.items() if getattr(member, "__isabstractmethod__", False)}
    yield "A component defines:\n"
    yield from (_method(name, methods[name]) for name in methods if name in needed)
    if methods.keys() - needed:
        yield "\nand may define:\n"
        yield from (_method(name, methods[name]) for name in methods if name not in needed)
    module = sys.modules[base.__module__]
    for name, protocol in inspect.getmembers(module, inspect.isclass):
        if protocol.__module__ == base.__module__ and getattr(protocol, "_is_protocol", False):
            yield f"\n`{name}`: {_inline(protocol)}\n"
            for method, member in vars(protocol).items():
                if not method.startswith("_") or method == "__call__":
                    yield _method(method, member)
    yield ""


def _is_contract(name: str, member: Any) -> bool:
    return not name.startswith(("_", "model_")) and (
        inspect.isfunction(member) or isinstance(member, property)
    )


def _method(name: str, member: Any) -> str:
    if isinstance(member, property):
        return f"- `{name}`: {_inline(member)}"
    return f"- `{_signature(name, member)}`: {_inline(member)}"


def _signature(name: str, function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    return f"{name}{signature.replace(parameters=parameters)}".replace("'", "")


def _hooks() -> Iterator[str]:
    for name, function in vars(hooks).items():
        if name.startswith("diffloom_"):
            yield f"- `{_signature(name, function)}`: {_inline(function)}"
    yield f"\n`{_signature('RunInfo', hooks.RunInfo)}`: {_inline(hooks.RunInfo)}\n"


def _doc(thing: Any) -> str:
    return f"{inspect.getdoc(thing)}\n"


def _inline(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split())


def main() -> None:
    """Write them all."""
    from line_links import renew  # beside this script

    registry = load_registry()
    if registry.quarantined:
        sys.exit("\n".join(f"{plugin.entry_point}: {plugin.reason}" for plugin in registry.quarantined))
    for path, text in pages(registry).items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    renew(ROOT / "docs" / "mathematics.md")
    print("renewed docs/mathematics.md")


if __name__ == "__main__":
    main()
