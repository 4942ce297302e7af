"""Pixel space: diffusion on the picture itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_pixel.space import Pixel

__all__ = ["Pixel"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(__name__, submod_attrs={"space": ["Pixel"]})


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the pixel space."""
    registrar.add_lazily("space", pixel="diffloom_pixel.space:Pixel")
