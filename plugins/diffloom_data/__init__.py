"""Data: scikit-learn"s handwritten digits, and folders of pictures, labelled or captioned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_data.captioned_folder import CaptionedFolder
    from diffloom_data.digits import Digits
    from diffloom_data.image_folder import ImageFolder

__all__ = ["CaptionedFolder", "Digits", "ImageFolder"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "captioned_folder": ["CaptionedFolder"],
        "digits": ["Digits"],
        "image_folder": ["ImageFolder"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the data sources."""
    registrar.add_lazily(
        "data",
        captioned_folder="diffloom_data.captioned_folder:CaptionedFolder",
        digits="diffloom_data.digits:Digits",
        image_folder="diffloom_data.image_folder:ImageFolder",
    )
