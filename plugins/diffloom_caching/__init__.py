"""What a network need not compute again at every level of a walk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_caching.deep_features import DeepFeatures

__all__ = ["DeepFeatures"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(__name__, submod_attrs={"deep_features": ["DeepFeatures"]})


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the ways of remembering."""
    registrar.add_lazily("caching", deep_features="diffloom_caching.deep_features:DeepFeatures")
