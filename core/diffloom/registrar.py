"""What a plugin is handed to register its components with, and which components it may register."""

from __future__ import annotations

import inspect
import itertools
import re
import string
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import partial

from diffloom.errors import PluginError
from diffloom.kinds import KINDS, Component
from diffloom.registration import Registration

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Registrar:
    """Handed to `diffloom_register`: collects the components of one plugin module."""

    def __init__(
        self,
        distribution: str,
        *,
        entry_point: str = "",
        homes: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.distribution = distribution
        self.registrations: list[Registration] = []
        self._entry_point = entry_point
        self._homes = homes or {}
        """What `homes` makes of everything installed."""

    def add(self, component: type[Component]) -> None:
        """Register a component class.

        Raises PluginError when it lacks a kind, a name, a docstring or a method of its kind, or belongs to
        another distribution; pydantic's own error when a field's type cannot be resolved.
        """
        self._examine(component)
        registration = self._registration(
            component.kind, component.name, component.__module__, component.__qualname__
        )
        registration.known = component
        self.registrations.append(registration)

    def add_lazily(self, kind: str, /, **places: str) -> None:
        """Register components by their names, each class to be imported when a file, or a list, first wants it.

        `registrar.add_lazily("sampler", euler="moon.components:Euler")`: the name, and the module and the class where
        it is defined. Whoever has many components spares everybody's start-up their import. Raises PluginError for a
        kind or a place that cannot be one; what `add` would refuse is told, and the plugin set aside, at the import.
        """
        if kind not in KINDS:
            raise PluginError(f"there is no kind {kind!r}; the kinds are {', '.join(KINDS)}")
        for name, place in places.items():
            module, colon, class_name = place.partition(":")
            if not (colon and module and class_name.isidentifier()):
                raise PluginError(f"{kind} {name!r}: expected `module:Class`, got {place!r}")
            self._refuse_owned(self._owners(module), f"{module}.{class_name}", name)
            self.registrations.append(self._registration(kind, name, module, class_name))

    def _registration(self, kind: str, name: str, module: str, class_name: str) -> Registration:
        told = (kind, name, module, class_name)
        examine = partial(self._examine_as, *told)
        return Registration(*told, self.distribution, self._entry_point, examine=examine)

    def _examine_as(
        self, kind: str, name: str, module: str, class_name: str, component: type[Component]
    ) -> None:
        """Raise for a class that is not what was registered. A method: what is known of components can be pickled."""
        self._examine(component)
        found = (component.kind, component.name, component.__module__, component.__qualname__)
        if found != (kind, name, module, class_name):
            raise PluginError(
                f"{module}.{class_name} is registered as {kind} {name!r}, and is {class_path(component)}, "
                f"{component.kind} {component.name!r}"
            )

    def _examine(self, component: type[Component]) -> None:
        """Raise for a class that is no sound component of this distribution."""
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
        registered = component.__dict__.get("canonical", "").partition("/")[0]
        owners = {registered} if registered else self._owners(component.__module__)
        self._refuse_owned(owners, where, name)

    def _owners(self, module: str) -> Collection[str]:
        """The distributions with a plugin module nearest to a module, by the packages they share."""
        while module and module not in self._homes:
            module = module.rpartition(".")[0]
        return self._homes.get(module, ())

    def _refuse_owned(self, owners: Collection[str], where: str, name: str) -> None:
        """A component has one canonical name, so nobody registers somebody else's."""
        if owners and self.distribution not in owners:
            owner = min(owners)
            raise PluginError(
                f"{where} belongs to {owner}, as {owner}/{name}; "
                "to offer a variant of it, derive a class of your own"
            )


def _braced(equation: str) -> set[str]:
    """What stands in braces."""
    return {field for _, field, _, _ in string.Formatter().parse(equation) if field is not None}


def homes(modules: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Every package in which there are (plugin module, distribution)s, and the module itself → the distributions."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for module, distribution in modules:
        for package in itertools.accumulate(module.split("."), "{}.{}".format):
            found[package].add(distribution)
    return found


def class_path(component: type[Component]) -> str:
    """`module.Class`, as an error names it."""
    return f"{component.__module__}.{component.__qualname__}"
