"""kind → distribution/name → component. No load order, no overwriting, no renaming."""

from __future__ import annotations

import difflib
import re
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from diffloom.errors import PluginError
from diffloom.kinds import KINDS, Component
from diffloom.registrar import Registrar
from diffloom.registration import Registration

HOME = "diffloom"
"""The distribution whose components need no `use:`."""


@dataclass
class Quarantined:
    """A plugin that was set aside, and why; everything else works on."""

    distribution: str
    entry_point: str
    reason: str

    def __str__(self) -> str:
        return f"its plugin {self.entry_point} is broken: {self.reason}"


@dataclass
class Registry:
    """Every component that can be named, and the plugins that could not be loaded."""

    registrations: dict[tuple[str, str], Registration] = field(default_factory=dict)
    """(kind, canonical name) → what is known of the component before it is imported."""
    versions: dict[str, str] = field(default_factory=dict)
    """distribution → version, for those that registered."""
    quarantined: list[Quarantined] = field(default_factory=list)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickled, in a process where these classes may have no canonical names yet."""
        vars(self).update(state)
        for registration in self.registrations.values():
            registration.take_over()

    def commit(self, registrar: Registrar, version: str) -> None:
        """Take over what a plugin registered, all or nothing.

        Raises PluginError naming both modules of a clash.
        """
        fresh: dict[tuple[str, str], Registration] = {}
        for registration in registrar.registrations:
            key = (registration.kind, registration.canonical)
            rival = fresh.get(key) or self.registrations.get(key)
            if rival is not None:
                raise PluginError(_clash([rival, registration]))
            fresh[key] = registration
        for registration in fresh.values():
            registration.take_over()
        self.registrations.update(fresh)
        self.versions[registrar.distribution] = version

    @property
    def components(self) -> dict[tuple[str, str], type[Component]]:
        """(kind, canonical name) → component, all of them imported; plugins that break at that are set aside."""
        return self._imported(self.registrations)

    def of_kind(self, kind: str) -> Iterator[type[Component]]:
        """The components of one kind, sorted by canonical name."""
        return iter(self._imported(sorted(key for key in self.registrations if key[0] == kind)).values())

    def of_distribution(self, distribution: str) -> Iterator[type[Component]]:
        """The components of one distribution, kind by kind in the order a model is assembled."""
        order = list(KINDS)
        own = [key for key, r in self.registrations.items() if r.distribution == distribution]
        return iter(self._imported(sorted(own, key=lambda key: (order.index(key[0]), key[1]))).values())

    def get(self, kind: str, canonical: str) -> type[Component] | None:
        """The component of this name, imported if it is not yet; None where nobody registered it.

        Raises PluginError for one whose plugin breaks at that, and sets the plugin aside.
        """
        registration = self.registrations.get((kind, canonical))
        if registration is None:
            return None
        try:
            return registration.component()
        except (Exception, SystemExit) as error:
            owner, entry_point = registration.distribution, registration.entry_point
            broken = Quarantined(owner, entry_point, reason_of(error))
            self.quarantined.append(broken)
            for key, other in list(self.registrations.items()):
                if (other.distribution, other.entry_point) == (owner, entry_point):
                    del self.registrations[key]
            raise PluginError(f"{kind} {canonical!r}: {owner} is installed, but {broken}") from error

    def _imported(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], type[Component]]:
        """The components at these keys, without those of plugins that break at their import."""
        found = {}
        for key in list(keys):
            with suppress(PluginError):  # it is among the quarantined
                found[key] = self.get(*key)
        return {key: component for key, component in found.items() if component and key in self.registrations}

    def find(self, kind: str, name: str, use: Sequence[str] = (HOME,)) -> type[Component]:
        """The component that `name` means: canonical, or bare and in exactly one distribution of `use`.

        Raises PluginError saying what there is, what was probably meant, or which package to install.
        """
        if "/" in name:
            component = self.get(kind, name)
            if component is None:
                raise PluginError(self._absent(kind, name))
            return component
        holders = [d for d in dict.fromkeys(use) if (kind, f"{d}/{name}") in self.registrations]
        if len(holders) > 1:
            both = " and ".join(f"{holder}/{name}" for holder in holders)
            raise PluginError(
                f"{kind} {name!r} is ambiguous: {both} both have it; write one of these in full"
            )
        component = self.get(kind, f"{holders[0]}/{name}") if holders else None
        if component is None:
            raise PluginError(self._unknown(kind, name, use))
        return component

    def names(self, kind: str) -> list[str]:
        """The canonical names of one kind, sorted."""
        return sorted(canonical for k, canonical in self.registrations if k == kind)

    def _absent(self, kind: str, name: str) -> str:
        distribution, _, bare = name.partition("/")
        broken = "; ".join(str(plugin) for plugin in self.quarantined if plugin.distribution == distribution)
        if distribution in self.versions:
            names = [name for owner, name in self._owned(kind) if owner == distribution]
            hint = did_you_mean(bare, names) or (broken and f"; {broken}")
            return f"{distribution} has no {kind} {bare!r}{hint}"
        if broken:
            return f"{kind} {name!r}: {distribution} is installed, but {broken}"
        return f"{kind} {name!r}: {distribution} is not installed; try `pip install {distribution}`"

    def _unknown(self, kind: str, name: str, use: Sequence[str]) -> str:
        elsewhere = [owner for owner, other in self._owned(kind) if other == name]
        if elsewhere:
            there = f"{elsewhere[0]}/{name}"
            return f"unknown {kind} {name!r}; write {there!r}, or put {elsewhere[0]!r} in the file's `use:`"
        bare = [other for owner, other in self._owned(kind) if owner in use]
        there_are = f"; there are {', '.join(bare)}" if bare else f"; there is none in {' or '.join(use)}"
        return f"unknown {kind} {name!r}{did_you_mean(name, bare) or there_are}"

    def _owned(self, kind: str) -> list[tuple[str, str]]:
        """(distribution, name) of what there is of a kind."""
        return [(owner, name) for owner, _, name in (full.partition("/") for full in self.names(kind))]


def clashes(registrars: Sequence[Registrar]) -> Iterator[tuple[Registrar, str]]:
    """Those that register a name which another of the same distribution registers too, or another's class.

    Each comes with the reason. Both sides of a clash are told: which of them loads first decides nothing.
    """
    holders: defaultdict[tuple[str, str], list[tuple[Registrar, Registration]]] = defaultdict(list)
    sharing: defaultdict[str, list[Registrar]] = defaultdict(list)
    for registrar in registrars:
        for registration in registrar.registrations:
            holders[registration.kind, registration.canonical].append((registrar, registration))
            sharing[registration.path].append(registrar)
    for clashing in holders.values():
        if len(clashing) > 1:
            for registrar in dict.fromkeys(registrar for registrar, _ in clashing):
                yield registrar, _clash([registration for _, registration in clashing])
    for path, owners in sharing.items():
        if len(names := {registrar.distribution: None for registrar in owners}) > 1:
            for registrar in owners:
                yield registrar, f"{path} is registered by {' and '.join(names)}, and has one canonical name"


def normal_name(name: str) -> str:
    """A distribution's name in its one normal form, `acme-moon` for `Acme_Moon` (PEP 503).

    `packaging` has this too, in a module whose import takes longer than that of all our plugins.
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'this'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def reason_of(error: BaseException) -> str:
    """What went wrong, and where in the plugin."""
    if isinstance(error, PluginError):
        return str(error)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    return f"{type(error).__name__}: {error} ({frames[-1].filename}:{frames[-1].lineno})"


def _clash(rivals: Sequence[Registration]) -> str:
    places = " and in ".join(rival.module for rival in rivals)
    return f"{rivals[0].kind} {rivals[0].canonical} is defined twice: in {places}"
