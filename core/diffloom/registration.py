"""A component as a plugin registers it: its kind and its names at once, its class when somebody wants it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

from diffloom.kinds import Component
from diffloom.kinds.component import canonical_when_imported


@dataclass(eq=False)
class Registration:
    """What is known of a component while its module may not be imported yet, and the way to its class."""

    kind: str
    name: str
    module: str
    class_name: str
    distribution: str
    entry_point: str
    """Of the plugin that registered it."""
    examine: Callable[[type[Component]], None]
    """Raises PluginError for a class that is not what was registered."""
    known: type[Component] | None = None
    """The class, once it has been found sound."""

    @property
    def canonical(self) -> str:
        """`distribution/name`."""
        return f"{self.distribution}/{self.name}"

    @property
    def path(self) -> str:
        """`module.Class`, as an error names it."""
        return f"{self.module}.{self.class_name}"

    def take_over(self) -> None:
        """Give the class its canonical name: now if it is there, else as soon as anybody imports it."""
        there = self.known or vars(sys.modules.get(self.module, object)).get(self.class_name)
        if there is None:
            canonical_when_imported(self.path, self.canonical)
        else:
            there.canonical = self.canonical

    def component(self) -> type[Component]:
        """The class. Raises PluginError where it is not what was registered, and whatever its module raises."""
        if self.known is None:
            found = getattr(importlib.import_module(self.module), self.class_name)
            self.examine(found)
            self.known = found
        return self.known
