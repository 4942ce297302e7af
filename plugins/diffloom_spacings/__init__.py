"""Spacings: the noise levels a sampler visits."""

from __future__ import annotations

from diffloom import Registrar, hookimpl
from diffloom_spacings.times import Leading, Linspace, Trailing

__all__ = ["Leading", "Linspace", "Trailing"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the spacings."""
    for component in (Leading, Trailing, Linspace):
        registrar.add(component)
