"""kind → distribution/name → component. No load order, no overwriting, no renaming."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from diffloom.errors import PluginError
from diffloom.kinds import KINDS, Component

HOME = "diffloom"
"""The distribution whose components need no `use:`."""


class Registrar:
    """Handed to `diffloom_register`: collects one distribution's components."""

    def __init__(self, distribution: str) -> None:
        self.distribution = distribution
        self.components: list[type[Component]] = []

    def add(self, component: type[Component]) -> None:
        """Register a component class. Raises PluginError when it lacks a kind, a name or a docstring."""
        where = f"{component.__module__}.{component.__qualname__}"
        if not (isinstance(component, type) and issubclass(component, Component)):
            raise PluginError(f"{where} is not a diffloom.kinds component")
        if getattr(component, "kind", None) not in KINDS or component.is_kind():
            raise PluginError(f"{where} does not derive from a kind; the kinds are {', '.join(KINDS)}")
        if not getattr(component, "name", ""):
            raise PluginError(f"{where} has no name: set `name = \"...\"` in the class")
        if not (component.__doc__ or "").strip():
            raise PluginError(f"{where} has no docstring; its first line is what `plugins list` shows")
        component.canonical = f"{self.distribution}/{component.name}"
        self.components.append(component)


@dataclass
class Quarantined:
    """A plugin that was set aside, and why; everything else works on."""

    distribution: str
    entry_point: str
    reason: str


@dataclass
class Registry:
    """Every component that can be named, and the plugins that could not be loaded."""

    components: dict[tuple[str, str], type[Component]] = field(default_factory=dict)
    """(kind, canonical name) → component."""
    versions: dict[str, str] = field(default_factory=dict)
    """distribution → version, for those that registered."""
    quarantined: list[Quarantined] = field(default_factory=list)

    def commit(self, registrar: Registrar, version: str) -> None:
        """Take over what a plugin registered, all or nothing. Raises PluginError naming both modules of a clash."""
        fresh: dict[tuple[str, str], type[Component]] = {}
        for component in registrar.components:
            key = (component.kind, component.canonical)
            rival = fresh.get(key) or self.components.get(key)
            if rival is not None:
                raise PluginError(
                    f"{component.kind} {component.canonical} is defined twice: "
                    f"in {rival.__module__} and in {component.__module__}"
                )
            fresh[key] = component
        self.components.update(fresh)
        self.versions[registrar.distribution] = version

    def of_kind(self, kind: str) -> Iterator[type[Component]]:
        """The components of one kind, sorted by canonical name."""
        return (c for (k, _), c in sorted(self.components.items(), key=lambda item: item[0]) if k == kind)

    def find(self, kind: str, name: str, use: Sequence[str] = (HOME,)) -> type[Component]:
        """The component that `name` means: canonical, or bare and in exactly one distribution of `use`.

        Raises PluginError saying what there is, what was probably meant, or which package to install.
        """
        if "/" in name:
            component = self.components.get((kind, name))
            if component is None:
                raise PluginError(self._absent(kind, name))
            return component
        found = [c for d in use if (c := self.components.get((kind, f"{d}/{name}"))) is not None]
        if not found:
            raise PluginError(self._unknown(kind, name, use))
        if len(found) > 1:
            both = " and ".join(c.canonical for c in found)
            raise PluginError(f"{kind} {name!r} is ambiguous: {both} both have it; write one of these in full")
        return found[0]

    def _absent(self, kind: str, name: str) -> str:
        distribution, _, bare = name.partition("/")
        if distribution in self.versions:
            names = [c.name for c in self.of_kind(kind) if c.canonical.startswith(f"{distribution}/")]
            return f"{distribution} has no {kind} {bare!r}{did_you_mean(bare, names)}"
        for plugin in self.quarantined:
            if plugin.distribution == distribution:
                return f"{kind} {name!r}: the plugin {distribution} is installed but broken: {plugin.reason}"
        return f"{kind} {name!r}: {distribution} is not installed; try `pip install {distribution}`"

    def _unknown(self, kind: str, name: str, use: Sequence[str]) -> str:
        elsewhere = [c.canonical for c in self.of_kind(kind) if c.name == name]
        if elsewhere:
            owner = elsewhere[0].partition("/")[0]
            return f"unknown {kind} {name!r}; write {elsewhere[0]!r}, or put {owner!r} in the file's `use:`"
        bare = [c.name for c in self.of_kind(kind) if c.canonical.partition("/")[0] in use]
        hint = did_you_mean(name, bare) or f"; there are {', '.join(bare)}"
        return f"unknown {kind} {name!r}{hint}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'this'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
