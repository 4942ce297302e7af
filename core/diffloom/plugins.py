"""Entry points → registry. A broken plugin is quarantined and named, never fatal.

pluggy's own loader keeps one of two clashing entry points without a word and dies of one broken plugin, so
the loop is ours; the hook calls are pluggy's.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import inspect
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

import diffloom
from diffloom import hooks
from diffloom.errors import PluginError
from diffloom.registrar import Registrar, homes
from diffloom.registry import HOME, Quarantined, Registry, clashes, did_you_mean, normal_name, reason_of

GROUP = "diffloom.plugins"
_NAME = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9]", re.IGNORECASE | re.ASCII)
"""What may name a distribution (PEP 508)."""


@dataclass(frozen=True, eq=False)
class _Offer:
    """A plugin module that was imported and asked for its components, and is not yet taken over."""

    module: ModuleType
    entry_point: str
    version: str
    registrar: Registrar


class _Manager(pluggy.PluginManager):
    """Looks for hooks among what a module holds already; asking `dir()` wakes lazy names, which may import torch."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        is_own = inspect.isroutine(vars(plugin).get(name))
        return super().parse_hookimpl_opts(plugin, name) if is_own else None


class Plugins:
    """The loaded plugins: their registry, and the observers among them."""

    def __init__(self) -> None:
        self.manager = _Manager(hooks.PROJECT)
        self.manager.add_hookspecs(hooks)
        self.registry = Registry()
        self.modules: dict[str, list[ModuleType]] = {}
        """distribution → its plugin modules, those set aside excepted."""
        self._homes: dict[str, set[str]] = {}
        """Package → distributions with plugin modules in it: says whose a component is by where it is."""

    def load_installed(self) -> None:
        """Load every entry point of the group, in an order on which nothing depends.

        A distribution that stands twice on `sys.path` counts once: the first is taken, as import does.
        """
        told = _Told()
        points = [(told.of(p), p) for p in importlib.metadata.entry_points(group=GROUP)]
        points = list({(owner.name, p.name, p.value): (owner, p) for owner, p in points}.values())
        self._homes = homes([(point.value.partition(":")[0].strip(), owner.name) for owner, point in points])
        offers: list[_Offer] = []
        for owner, point in sorted(points, key=lambda item: (item[0].name, item[1].name, item[1].value)):
            name = owner.name
            try:
                owner.require_this_diffloom()
                offers.append(self._ask(point.load(), name, owner.version, point.name))
            except (Exception, SystemExit) as error:
                self._quarantine(name, point.name, reason_of(error))
        refused = dict(clashes([offer.registrar for offer in offers]))
        for offer in offers:
            if (reason := refused.get(offer.registrar)) is not None:
                self.manager.unregister(offer.module)
                self._quarantine(offer.registrar.distribution, offer.entry_point, reason)
            else:
                self._take_over(offer)

    def load_file(self, path: str | Path) -> str:
        """Load one Python file as a plugin (`-p my_plugin.py`); returns its distribution name, `my-plugin`.

        Raises PluginError: someone who names a file wants to know at once what is wrong with it.
        """
        path = Path(path)
        if not path.is_file():
            raise PluginError(f"{path}: no such plugin file")
        if not _NAME.fullmatch(path.stem):
            raise PluginError(f"{path}: {path.stem!r} cannot name a plugin; use letters, digits and dashes")
        name = normal_name(path.stem)
        if (
            name == HOME
            or name in self.modules
            or any(q.distribution == name for q in self.registry.quarantined)
        ):
            raise PluginError(f"{path}: there is a plugin {name} already; give the file another name")
        version = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
        try:
            self._take_over(self._ask(_import_file(path), name, version, str(path)))
        except (Exception, SystemExit) as error:
            raise PluginError(f"{path}: {reason_of(error)}") from error
        return name

    def _ask(self, module: ModuleType, distribution: str, version: str, entry_point: str) -> _Offer:
        """Register a plugin's hooks, check their names, and ask for its components; all or nothing."""
        if not isinstance(module, ModuleType):
            raise PluginError(f"a plugin is a module; the entry point names {module!r}")
        registrar = Registrar(distribution, entry_point=entry_point, homes=self._homes)
        try:
            self.manager.register(module, name=f"{distribution}:{entry_point}:{module.__name__}")
            self._check_hooks(module)
            others = [plugin for plugin in self.manager.get_plugins() if plugin is not module]
            self.manager.subset_hook_caller("diffloom_register", others)(registrar=registrar)
        except BaseException:
            if self.manager.is_registered(module):
                self.manager.unregister(module)
            raise
        return _Offer(module, entry_point, version, registrar)

    def _check_hooks(self, module: ModuleType) -> None:
        """Every function called `diffloom_…` is a hook of ours, marked and spelt as one."""
        specified = [name for name in vars(hooks) if name.startswith("diffloom_")]
        for name, function in vars(module).items():
            is_hook = name.startswith("diffloom_") and inspect.isroutine(function)
            if is_hook and self.manager.parse_hookimpl_opts(module, name) is None:
                raise PluginError(f"{name} is not marked @hookimpl{did_you_mean(name, specified)}")
        implemented = self.manager.get_hookcallers(module) or []
        try:
            self.manager.check_pending()
        except pluggy.PluginValidationError:
            strange = next(caller.name for caller in implemented if not caller.has_spec())
            raise PluginError(f"there is no hook {strange}{did_you_mean(strange, specified)}") from None
        if not implemented:
            raise PluginError("it implements no diffloom hook; is `@hookimpl def diffloom_register` missing?")

    def _take_over(self, offer: _Offer) -> None:
        try:
            self.registry.commit(offer.registrar, offer.version)
        except PluginError:
            self.manager.unregister(offer.module)
            raise
        self.modules.setdefault(offer.registrar.distribution, []).append(offer.module)

    def _quarantine(self, distribution: str, entry_point: str, reason: str) -> None:
        self.registry.quarantined.append(Quarantined(distribution, entry_point, reason))


@lru_cache(maxsize=8)
def load_plugins(files: tuple[str, ...] = ()) -> Plugins:
    """The installed plugins and the given files, loaded once in a process."""
    plugins = Plugins()
    plugins.load_installed()
    for file in files:
        plugins.load_file(file)
    return plugins


def load_registry(files: Sequence[str] = ()) -> Registry:
    """The registry alone."""
    return load_plugins(tuple(files)).registry


@dataclass(frozen=True)
class _Owner:
    """What a distribution with plugins says of itself."""

    name: str
    """In its normal form: lower case, dashes."""
    version: str
    requires: tuple[str, ...]
    """What it needs of diffloom."""

    def require_this_diffloom(self) -> None:
        """A plugin made for another diffloom is not tried: it would fail later, and elsewhere."""
        for text in self.requires:
            _require(text)


def _require(text: str) -> None:
    """Raise PluginError for a requirement that asks for another diffloom than this."""
    from packaging.requirements import Requirement  # takes longer than most plugins, and seldom is there one

    requirement = Requirement(text)
    applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    if normal_name(requirement.name) != HOME or not applies:
        return
    if not requirement.specifier.contains(diffloom.__version__, prereleases=True):
        raise PluginError(
            f"it needs {requirement.name}{requirement.specifier}, this is {diffloom.__version__}"
        )


class _Told:
    """Distributions, each asked once: every question is a file read and parsed, and one may have many plugins."""

    def __init__(self) -> None:
        self._owners: dict[int, tuple[Distribution, _Owner]] = {}

    def of(self, point: EntryPoint) -> _Owner:
        """The owner of an entry point."""
        dist = point.dist
        assert dist is not None, "entry_points() says where each came from"
        if id(dist) not in self._owners:
            metadata = dist.metadata
            name = normal_name(metadata["Name"])
            requires = () if name == HOME else dist.requires or ()
            # Our name has no separators, so that any way to write it begins so.
            of_us = tuple(text for text in requires if text.lower().startswith(HOME))
            owner = _Owner(name=name, version=metadata["Version"], requires=of_us)
            self._owners[id(dist)] = dist, owner  # kept with it, so that no other gets its id
        return self._owners[id(dist)][1]


def _import_file(path: Path) -> ModuleType:
    name = f"diffloom_local_{path.stem.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
