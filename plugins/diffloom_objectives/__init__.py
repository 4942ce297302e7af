"""Objectives: what training minimises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffloom import Registrar, hookimpl
from diffloom_objectives.objectives import SimpleObjective

if TYPE_CHECKING:
    from diffloom_objectives.simple import Simple

__all__ = ["Simple", "SimpleObjective"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the simple loss."""
    registrar.add(SimpleObjective)


def __getattr__(name: str) -> Any:
    """The loss, on first use: it needs torch."""
    if name != "Simple":
        raise AttributeError(f"module 'diffloom_objectives' has no attribute {name!r}")
    from diffloom_objectives.simple import Simple

    return Simple
