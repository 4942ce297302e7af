"""What a plugin is handed to register its components with, and which components it may register."""

from __future__ import annotations

import inspect
import itertools
import re
import string
from collections.abc import Sequence

from diffloom.errors import PluginError
from diffloom.kinds import KINDS, Component

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Registrar:
    """Handed to `diffloom_register`: collects the components of one plugin module."""

    def __init__(self, distribution: str, *, homes: Sequence[tuple[str, str]] = ()) -> None:
        self.distribution = distribution
        self.components: list[type[Component]] = []
        self._homes = homes
        """(plugin module, distribution) of everything installed."""

    def add(self, component: type[Component]) -> None:
        """Register a component class.

        Raises PluginError when it lacks a kind, a name, a docstring or a method of its kind, or belongs to
        another distribution; pydantic's own error when a field's type cannot be resolved.
        """
        if not (isinstance(component, type) and issubclass(component, Component)):
            raise PluginError(f"{component!r} is not a diffloom.kinds component class")
        where = class_path(component)
        if getattr(component, "kind", None) not in KINDS or component.is_kind():
            raise PluginError(f"{where} does not derive from a kind; the kinds are {', '.join(KINDS)}")
        name = getattr(component, "name", "")
        if not name:
            raise PluginError(f'{where} has no name: set `name = "..."` in the class')
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise PluginError(f"{where}: the name {name!r} is not lower-case letters, digits and underscores")
        if not (component.__dict__.get("__doc__") or "").strip():
            raise PluginError(f"{where} has no docstring; its first line is what `plugins list` shows")
        if inspect.isabstract(component):
            missing = ", ".join(sorted(component.__abstractmethods__))
            raise PluginError(f"{where} does not define {missing}, which every {component.kind} has")
        unknown = sorted(_braced(component.equation) - component.model_fields.keys())
        if unknown:
            raise PluginError(f"{where}: the equation names {', '.join(unknown)}, which is no field of it")
        if not component.__pydantic_fields_complete__:
            component.model_rebuild()  # a type that cannot be resolved is told now, and not when a YAML names it
        self._refuse_foreign(component)
        self.components.append(component)

    def _refuse_foreign(self, component: type[Component]) -> None:
        """A component has one canonical name, so nobody registers somebody else's."""
        registered = component.__dict__.get("canonical", "").partition("/")[0]
        owners = {registered} if registered else _owners(component, self._homes)
        if owners and self.distribution not in owners:
            owner = min(owners)
            raise PluginError(
                f"{class_path(component)} belongs to {owner}, as {owner}/{component.name}; "
                "to offer a variant of it, derive a class of your own"
            )


def _braced(equation: str) -> set[str]:
    """What stands in braces."""
    return {field for _, field, _, _ in string.Formatter().parse(equation) if field is not None}


def _owners(component: type[Component], homes: Sequence[tuple[str, str]]) -> set[str]:
    """The distributions with a plugin module nearest to where the class lives, by the packages they share."""

    def shared(module: str) -> int:
        pairs = zip(module.split("."), component.__module__.split("."), strict=False)
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))

    nearest = max((shared(module) for module, _ in homes), default=0)
    return {distribution for module, distribution in homes if nearest and shared(module) == nearest}


def class_path(component: type[Component]) -> str:
    """`module.Class`, as an error names it."""
    return f"{component.__module__}.{component.__qualname__}"
