"""What a network need not compute again at every level of a walk."""

from __future__ import annotations

from diffloom import Registrar, hookimpl
from diffloom_caching.deep_features import DeepFeatures

__all__ = ["DeepFeatures"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the ways of remembering."""
    registrar.add(DeepFeatures)
