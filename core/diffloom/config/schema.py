"""JSON Schema of configuration files, following the installed plugins: editors check and complete with it.

Every kind and component has two definitions: a whole one, and a `partial.` one in which nothing is required, for
files that say `extends:` and leave the rest to the file below.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Annotated, Any, get_args

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from diffloom.config.autoencoder import AutoencoderDocument
from diffloom.config.choice import KEY
from diffloom.config.document import Document
from diffloom.config.fields import Each, Either, Group, Part, Plain, Slot, group, slot_in, slot_of
from diffloom.config.merge import component_of, default_node, type_of
from diffloom.config.plain import plain
from diffloom.errors import PluginError
from diffloom.kinds import KINDS, Component, Section
from diffloom.registry import HOME, Registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]
WORDS: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


def json_schema(registry: Registry, *, only: Sequence[str] | None = None) -> Schema:
    """The schema of a whole file; `only` names the distributions whose components it knows, all by default."""
    definitions: Schema = {}
    for partial in (False, True):
        _Definitions(registry, only, partial, definitions).add_all()
    return {
        "$schema": DIALECT,
        "title": "diffloom configuration",
        "if": {"type": "object", "required": [KEY]},
        "then": _whole_or_partial("autoencoder_document"),
        "else": _whole_or_partial("document"),
        "$defs": definitions,
    }


def _whole_or_partial(name: str) -> Schema:
    return {
        "if": {"type": "object", "required": ["extends"]},
        "then": {"$ref": f"#/$defs/partial.{name}"},
        "else": {"$ref": f"#/$defs/{name}"},
    }


def schema_text(registry: Registry, *, only: Sequence[str] | None = None) -> str:
    """`json_schema` as text; equal plugins give equal text."""
    return json.dumps(json_schema(registry, only=only), indent=2, ensure_ascii=False) + "\n"


class _Definitions:
    """Writes one family of definitions, the whole or the partial one."""

    def __init__(
        self, registry: Registry, only: Sequence[str] | None, partial: bool, definitions: Schema
    ) -> None:
        self.registry = registry
        self.only = only
        self.partial = partial
        self.definitions = definitions

    def add_all(self) -> None:
        for name, model in (("document", Document), ("autoencoder_document", AutoencoderDocument)):
            document = self._section(group(model))
            document["properties"] |= {
                "use": {
                    **WORDS,
                    "description": "Distributions whose components bare names mean in this file.",
                },
                "extends": {**WORDS, "description": "Files this one is laid over: paths, or diffloom:NAME."},
            }
            self.definitions[self._name(name)] = document
        for kind in KINDS:
            self._add_kind(kind)

    def _name(self, name: str) -> str:
        return f"partial.{name}" if self.partial else name

    def _ref(self, name: str) -> Schema:
        return {"$ref": f"#/$defs/{self._name(name)}"}

    def _add_kind(self, kind: str) -> None:
        choices: list[Schema] = []
        for component in self._components(kind):
            schema = self._component(component)
            summary = schema["description"].splitlines()[0]
            if not set(schema.get("required", ())) - {"type"}:
                choices += [{"const": name, "description": summary} for name in _names(component)]
            choices.append(self._ref(_key(component)))
            self.definitions[self._name(_key(component))] = schema
        allowed: Schema = {"anyOf": choices} if choices else {"not": {}}
        self.definitions[self._name(kind)] = {"description": _doc(KINDS[kind]), **allowed}

    def _components(self, kind: str) -> list[type[Component]]:
        found = self.registry.of_kind(kind)
        return [c for c in found if self.only is None or c.canonical.partition("/")[0] in self.only]

    def _component(self, component: type[Component]) -> Schema:
        schema = self._section(group(component))
        names = {"enum": _names(component), "description": f"The {component.kind}'s name."}
        schema["properties"] = {"type": names, **schema["properties"]}
        if not self.partial:
            schema["required"] = ["type", *schema.get("required", ())]
        return schema

    def _section(self, slot: Group) -> Schema:
        model = slot.model
        schema: Schema = {"type": "object", "description": _doc(model), "properties": {}}
        required = []
        for name, field in model.model_fields.items():
            inside = slot_in(slot, name)
            text = model.field_doc(name)
            schema["properties"][name] = self._field(field, inside) | ({"description": text} if text else {})
            part = inside.inner if isinstance(inside, Either) else inside
            if field.is_required() and not (isinstance(part, Part) and part.default):
                required.append(name)
        if required and not self.partial:
            schema["required"] = required
        return schema | {"additionalProperties": False}

    def _field(self, field: FieldInfo, slot: Slot) -> Schema:
        schema = _of_type(field.annotation, field.metadata) if isinstance(slot, Plain) else self._slot(slot)
        part = slot.inner if isinstance(slot, Either) else slot
        if isinstance(part, Part) and part.default:
            schema = schema | {"default": part.default.value}
        elif not field.is_required():
            schema = schema | {"default": plain(field.get_default(call_default_factory=True))}
        return schema

    def _slot(self, slot: Slot) -> Schema:
        if isinstance(slot, Part):
            return self._part(slot)
        if isinstance(slot, Group):
            return self._group(slot)
        if isinstance(slot, Each):
            return self._each(slot)
        if isinstance(slot, Either):
            owner = slot.inner.owner if isinstance(slot.inner, Part | Group) else HOME
            members = [slot_of(arg, (), owner) for arg in get_args(slot.annotation)]
            return {"anyOf": [self._slot(member) for member in members]}
        return _of_type(slot.annotation, ())

    def _part(self, slot: Part) -> Schema:
        """Any component of the kind; the default's fields may stand here without its `type`."""
        default = default_node(slot)
        if self.partial or default is None:
            return self._ref(slot.kind)
        name = type_of(default)
        assert name is not None, "a Default names a component"
        try:
            component = component_of(name, slot.kind, self.registry)
        except PluginError:  # its plugin is set aside, which `plugins list` tells
            return self._ref(slot.kind)
        if component not in self._components(slot.kind):
            return self._ref(slot.kind)
        return {"anyOf": [self._ref(slot.kind), {"$ref": f"#/$defs/partial.{_key(component)}"}]}

    def _group(self, slot: Group) -> Schema:
        """A reference to a section's definition, which is written the first time it is met."""
        key = f"{slot.model.__module__}.{slot.model.__qualname__}"
        name = self._name(key)
        if name not in self.definitions:
            self.definitions[name] = {}  # a section may hold itself
            self.definitions[name] = self._section(slot)
        return self._ref(key)

    def _each(self, slot: Each) -> Schema:
        items = [self._slot(item) for item in slot.items]
        if slot.container is dict:
            return {"type": "object", "additionalProperties": items[0]}
        if len(items) == 1:
            return {"type": "array", "items": items[0]}
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _of_type(annotation: Any, metadata: Sequence[Any]) -> Schema:
    """pydantic's schema of ordinary data."""
    annotated: Any = Annotated[(annotation, *metadata)] if metadata else annotation
    schema: Schema = TypeAdapter(annotated).json_schema()
    return schema


def _key(component: type[Component]) -> str:
    """The definition's name; a slash in it would have to be escaped in every reference."""
    return f"{component.kind}.{component.canonical.replace('/', '.')}"


def _names(component: type[Component]) -> list[str]:
    """What may stand after `type:`; a bare name of another distribution needs a `use:`, which a schema cannot see."""
    names = [component.name, component.canonical]
    return names if component.canonical.startswith(f"{HOME}/") else names[::-1]


def _doc(model: type[Section]) -> str:
    return inspect.cleandoc(model.__doc__ or "")
