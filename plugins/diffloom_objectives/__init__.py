"""Objectives: what training minimises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl
from diffloom_objectives.objectives import SimpleObjective

if TYPE_CHECKING:
    from diffloom_objectives.simple import Simple

__all__ = ["Simple", "SimpleObjective"]

# These need torch, which registering must not import. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(__name__, submod_attrs={"simple": ["Simple"]})


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the simple loss."""
    registrar.add(SimpleObjective)
