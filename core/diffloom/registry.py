"""kind → distribution/name → component. No load order, no overwriting, no renaming."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from diffloom.errors import PluginError
from diffloom.kinds import KINDS, Component
from diffloom.registrar import Registrar, class_path

HOME = "diffloom"
"""The distribution whose components need no `use:`."""


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
        """Take over what a plugin registered, all or nothing.

        Raises PluginError naming both modules of a clash.
        """
        fresh: dict[tuple[str, str], type[Component]] = {}
        for component in registrar.components:
            key = (component.kind, f"{registrar.distribution}/{component.name}")
            rival = fresh.get(key) or self.components.get(key)
            if rival is not None:
                raise PluginError(_clash(registrar.distribution, [rival, component]))
            fresh[key] = component
        for (_, canonical), component in fresh.items():
            component.canonical = canonical
        self.components.update(fresh)
        self.versions[registrar.distribution] = version

    def of_kind(self, kind: str) -> Iterator[type[Component]]:
        """The components of one kind, sorted by canonical name."""
        return (c for (k, _), c in sorted(self.components.items(), key=lambda item: item[0]) if k == kind)

    def of_distribution(self, distribution: str) -> Iterator[type[Component]]:
        """The components of one distribution, kind by kind in the order a model is assembled."""
        return (c for kind in KINDS for c in self.of_kind(kind) if _owner(c) == distribution)

    def find(self, kind: str, name: str, use: Sequence[str] = (HOME,)) -> type[Component]:
        """The component that `name` means: canonical, or bare and in exactly one distribution of `use`.

        Raises PluginError saying what there is, what was probably meant, or which package to install.
        """
        if "/" in name:
            component = self.components.get((kind, name))
            if component is None:
                raise PluginError(self._absent(kind, name))
            return component
        found = [
            c for d in dict.fromkeys(use) if (c := self.components.get((kind, f"{d}/{name}"))) is not None
        ]
        if not found:
            raise PluginError(self._unknown(kind, name, use))
        if len(found) > 1:
            both = " and ".join(c.canonical for c in found)
            raise PluginError(
                f"{kind} {name!r} is ambiguous: {both} both have it; write one of these in full"
            )
        return found[0]

    def _absent(self, kind: str, name: str) -> str:
        distribution, _, bare = name.partition("/")
        broken = "; ".join(
            f"its plugin {plugin.entry_point} is broken: {plugin.reason}"
            for plugin in self.quarantined
            if plugin.distribution == distribution
        )
        if distribution in self.versions:
            names = [c.name for c in self.of_kind(kind) if _owner(c) == distribution]
            hint = did_you_mean(bare, names) or (broken and f"; {broken}")
            return f"{distribution} has no {kind} {bare!r}{hint}"
        if broken:
            return f"{kind} {name!r}: {distribution} is installed, but {broken}"
        return f"{kind} {name!r}: {distribution} is not installed; try `pip install {distribution}`"

    def _unknown(self, kind: str, name: str, use: Sequence[str]) -> str:
        elsewhere = [c for c in self.of_kind(kind) if c.name == name]
        if elsewhere:
            there = elsewhere[0].canonical
            owner = _owner(elsewhere[0])
            return f"unknown {kind} {name!r}; write {there!r}, or put {owner!r} in the file's `use:`"
        bare = [c.name for c in self.of_kind(kind) if _owner(c) in use]
        there_are = f"; there are {', '.join(bare)}" if bare else f"; there is none in {' or '.join(use)}"
        return f"unknown {kind} {name!r}{did_you_mean(name, bare) or there_are}"


def clashes(registrars: Sequence[Registrar]) -> Iterator[tuple[Registrar, str]]:
    """Those that register a name which another of the same distribution registers too, or another's class.

    Each comes with the reason. Both sides of a clash are told: which of them loads first decides nothing.
    """
    holders: defaultdict[tuple[str, str, str], list[Registrar]] = defaultdict(list)
    rivals: defaultdict[tuple[str, str, str], list[type[Component]]] = defaultdict(list)
    for registrar in registrars:
        for component in registrar.components:
            key = (registrar.distribution, component.kind, component.name)
            holders[key].append(registrar)
            rivals[key].append(component)
    for key, clashing in holders.items():
        if len(clashing) > 1:
            for registrar in dict.fromkeys(clashing):
                yield registrar, _clash(key[0], rivals[key])
    for component in {c for registrar in registrars for c in registrar.components}:
        sharing = [registrar for registrar in registrars if component in registrar.components]
        if len({registrar.distribution for registrar in sharing}) > 1:
            both = " and ".join(registrar.distribution for registrar in sharing)
            for registrar in sharing:
                yield (
                    registrar,
                    f"{class_path(component)} is registered by {both}, and has one canonical name",
                )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'this'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _clash(distribution: str, rivals: Sequence[type[Component]]) -> str:
    places = " and in ".join(c.__module__ for c in rivals)
    return f"{rivals[0].kind} {distribution}/{rivals[0].name} is defined twice: in {places}"


def _owner(component: type[Component]) -> str:
    return component.canonical.partition("/")[0]
