"""Entry points → registry. A broken plugin is quarantined and named, never fatal.

pluggy's own loader keeps one of two clashing entry points without a word and dies of one broken plugin, so the loop
is ours; the hook calls are pluggy's.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pluggy

from diffloom import hooks
from diffloom.errors import PluginError
from diffloom.registry import Quarantined, Registrar, Registry

GROUP = "diffloom.plugins"


class Plugins:
    """The loaded plugins: their registry, and the observers among them."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(hooks.PROJECT)
        self.manager.add_hookspecs(hooks)
        self.registry = Registry()

    def load_installed(self) -> None:
        """Load every entry point of the group, in a fixed order that nothing depends on."""
        for point in sorted(importlib.metadata.entry_points(group=GROUP), key=_order):
            assert point.dist is not None
            name = canonical_distribution(point.dist.name)
            try:
                self._admit(point.load(), name, point.dist.version, f"{name}:{point.name}:{point.value}")
            except (Exception, SystemExit) as error:
                self.registry.quarantined.append(Quarantined(name, point.name, _reason(error)))

    def load_file(self, path: str | Path) -> str:
        """Load one Python file as a plugin (`-p my_plugin.py`); returns its distribution name, `my-plugin`.

        Raises PluginError: someone who names a file wants to know at once what is wrong with it.
        """
        path = Path(path)
        if not path.is_file():
            raise PluginError(f"{path}: no such plugin file")
        name = canonical_distribution(path.stem)
        text = path.read_bytes()
        try:
            self._admit(_import_file(path), name, f"sha256:{hashlib.sha256(text).hexdigest()[:16]}", str(path))
        except (Exception, SystemExit) as error:
            raise PluginError(f"{path}: {_reason(error)}") from error
        return name

    def _admit(self, module: ModuleType, distribution: str, version: str, key: str) -> None:
        """Register a plugin's hooks, check their names, and take over its components; all or nothing."""
        self.manager.register(module, name=key)
        try:
            self.manager.check_pending()
            registrar = Registrar(distribution)
            register = getattr(module, "diffloom_register", None)
            if register is None and not self.manager.get_hookcallers(module):
                raise PluginError("it implements no diffloom hook; is @hookimpl missing?")
            if register is not None:
                if not self.manager.parse_hookimpl_opts(module, "diffloom_register"):
                    raise PluginError("diffloom_register is not marked @hookimpl")
                register(registrar=registrar)
            self.registry.commit(registrar, version)
        except BaseException:
            self.manager.unregister(module)
            raise


def canonical_distribution(name: str) -> str:
    """A distribution's name in its normal form: lower case, dashes."""
    return name.lower().replace("_", "-").replace(".", "-")


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


def _order(point: importlib.metadata.EntryPoint) -> tuple[str, str, str]:
    return (point.dist.name if point.dist else "", point.name, point.value)


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"


def _import_file(path: Path) -> ModuleType:
    name = f"diffloom_local_{path.stem}"
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
