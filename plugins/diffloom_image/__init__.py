"""Pictures, and their sizes, as conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_image.component import ImageCondition
    from diffloom_image.size_crop import SizeCrop

__all__ = ["ImageCondition", "SizeCrop"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "component": ["ImageCondition"],
        "size_crop": ["SizeCrop"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the conditioners."""
    registrar.add_lazily(
        "conditioner",
        image="diffloom_image.component:ImageCondition",
        size_crop="diffloom_image.size_crop:SizeCrop",
    )
