"""Class labels as a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_labels.conditioner import ClassLabel
    from diffloom_labels.token import ClassToken

__all__ = ["ClassLabel", "ClassToken"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "conditioner": ["ClassLabel"],
        "token": ["ClassToken"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the class-label conditioners."""
    registrar.add_lazily(
        "conditioner",
        class_label="diffloom_labels.conditioner:ClassLabel",
        class_token="diffloom_labels.token:ClassToken",
    )
